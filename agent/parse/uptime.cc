#include "agent/parse/uptime.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {

absl::StatusOr<absl::Duration> ParseUptime(absl::string_view text) {
  absl::string_view rest = text;
  double seconds = 0;
  if (!absl::SimpleAtod(NextWord(rest), &seconds) || !(seconds >= 0) || seconds > 1e12) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected seconds since boot, got ", Quote(text)));
  }
  return absl::Seconds(seconds);
}

}  // namespace fleet::agent
