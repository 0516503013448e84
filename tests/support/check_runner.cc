#include "tests/support/check_runner.h"

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::test {

std::vector<std::string> CheckResult::items() const {
  std::vector<std::string> lines;
  for (const Item& item : report.items) {
    lines.push_back(absl::StrCat(item.name, " ", VerdictName(item.verdict)));
    if (item.unknown != UnknownKind::kNone) {
      absl::StrAppend(&lines.back(), ":", UnknownKindName(item.unknown));
    }
    if (!item.reason.empty()) absl::StrAppend(&lines.back(), " ", item.reason);
  }
  return lines;
}

Verdict CheckResult::verdict() const {
  Verdict worst = report.verdict;
  for (const Item& item : report.items) worst = Worse(worst, item.verdict);
  return worst;
}

double CheckResult::value(absl::string_view series) const {
  for (const std::string& line : lines()) {
    double value = 0;
    if (absl::StartsWith(line, absl::StrCat(series, " ")) &&
        absl::SimpleAtod(absl::string_view(line).substr(series.size() + 1), &value)) {
      return value;
    }
  }
  std::fprintf(stderr, "no series %s\n", std::string(series).c_str());
  FLEET_ASSERT(false);
  return 0;
}

CheckResult CheckRunner::Run(agent::Check& check) {
  agent::CheckRun run(check.metrics(), *used_, SteadyAfter(used_->SteadyNow(), deadline_), memory_,
                      expected_);
  CheckResult result;
  result.status = check.Collect(run);
  result.report = std::move(run.report());
  return result;
}

CheckResult CheckRunner::Run(std::unique_ptr<agent::Check> (*make)(const agent::CheckEnv&)) {
  return Run(*make(env_));
}

}  // namespace fleet::test
