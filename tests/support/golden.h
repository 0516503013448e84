#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/report.h"
#include "tests/support/check_runner.h"

namespace fleet::test {

/// What differs from run to run although the input does not.
struct GoldenMask {
  /// Families whose values are shown as "…"; one that ends in '*' stands for all with that start.
  std::vector<std::string> values;
  /// RE2's expressions and what stands for their matches: ports, directories, ages, versions.
  std::vector<std::pair<std::string, std::string>> texts;
};

/// One check's run as lines: verdict and reason, then every item, then every sample, as the agent
/// would report them.
std::string GoldenText(absl::string_view check, CheckResult result, const GoldenMask& mask = {});

/// Expects `said` to be the text of tests/fixtures/`name`. With UPDATE_GOLDEN=1 in the environment
/// that file is written instead: read the difference before it is committed.
void ExpectGolden(absl::string_view name, const std::string& said);

}  // namespace fleet::test
