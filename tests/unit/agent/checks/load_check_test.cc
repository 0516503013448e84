#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LoadCheckTest, EmitsWhatNodeExporterDoes) {
  TempHost host;
  host.Write("proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeLoadCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.lines(), ElementsAre("node_load1 0.2", "node_load5 0.18", "node_load15 0.12"));
  EXPECT_EQ(result.verdict(), Verdict::kOk);
}

TEST(LoadCheckTest, WarnsOnlyAboutALastingLoad) {
  TempHost host;
  host.Write("proc/loadavg", "9000 1 1 1/80 11206\n");
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeLoadCheck).verdict(), Verdict::kOk);
  host.Write("proc/loadavg", "9000 9000 1 1/80 11206\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeLoadCheck);
  EXPECT_EQ(result.verdict(), Verdict::kCrit);
  EXPECT_THAT(result.report.reason, HasSubstr("load 9000.0 for 5 min"));
}

TEST(LoadCheckTest, IsAbsentWithoutTheFile) {
  const TempHost host;
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeLoadCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
