#include "tests/support/md_fixture.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fleet::test {

void UnpackMdState(absl::string_view state, TempHost& host) {
  host.Write("proc/mdstat", Fixture(absl::StrCat("md/", state, ".mdstat")));
  const std::string recorded = Fixture(absl::StrCat("md/", state, ".sysfs"));
  std::string md;
  for (absl::string_view line : absl::StrSplit(recorded, '\n', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&line, "## /")) {
      md = absl::StrCat(line.substr(0, line.find(' ')), "/md/");
    } else if (absl::StrContains(line, " -> ")) {
      const std::pair<std::string, std::string> halves = absl::StrSplit(line, " -> ");
      host.Link(md + halves.first, halves.second);
    } else {
      const std::pair<std::string, std::string> halves =
          absl::StrSplit(line, absl::MaxSplits('=', 1));
      if (absl::StartsWith(halves.second, "cat:")) continue;  // write-only
      host.Write(md + halves.first, absl::StrReplaceAll(halves.second, {{"|", "\n"}}));
    }
  }
}

}  // namespace fleet::test
