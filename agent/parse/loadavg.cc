#include "agent/parse/loadavg.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {

absl::StatusOr<LoadAverage> ParseLoadAverage(absl::string_view text) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar(" \n"), 3), absl::SkipEmpty());
  LoadAverage load;
  double* const averages[] = {&load.one, &load.five, &load.fifteen};
  for (size_t i = 0; i < 3; ++i) {
    if (i >= fields.size() || !absl::SimpleAtod(fields[i], averages[i]) || !(*averages[i] >= 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected three load averages, got ", Quote(text)));
    }
  }
  return load;
}

}  // namespace fleet::agent
