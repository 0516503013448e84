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

TEST(LoadCheckTest, EmitsPressureWhereTheKernelAccountsIt) {
  TempHost host;
  host.Write("proc/loadavg", "0.20 0.18 0.12 1/80 11206\n")
      .Write("proc/pressure/cpu",
             "some avg10=0.00 avg60=0.00 avg300=0.00 total=50692491\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
      .Write("proc/pressure/io",
             "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeLoadCheck);
  ASSERT_THAT(result.status, IsOk());
  // The last digits are node_exporter's: it divides by 1,000 twice.
  EXPECT_THAT(result.lines(),
              ElementsAre("node_load1 0.2", "node_load5 0.18", "node_load15 0.12",
                          "node_pressure_cpu_waiting_seconds_total 50.692491000000004",
                          "node_pressure_io_waiting_seconds_total 2.5",
                          "node_pressure_io_stalled_seconds_total 1.5"));
}

TEST(LoadCheckTest, WarnsOnlyAboutALastingLoad) {
  TempHost host;
  host.Write("sys/devices/system/cpu/online", "0-1\n");
  host.Write("proc/loadavg", "90 1 1 1/80 11206\n");
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeLoadCheck).verdict(), Verdict::kOk);
  host.Write("proc/loadavg", "90 9 1 1/80 11206\n");
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeLoadCheck).verdict(), Verdict::kWarn);
  host.Write("proc/loadavg", "90 90 1 1/80 11206\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeLoadCheck);
  EXPECT_EQ(result.verdict(), Verdict::kCrit);
  EXPECT_EQ(result.report.reason, "load 90.0 for 5 min on 2 CPUs, limit 4 per CPU");
}

TEST(LoadCheckTest, CountsTheHostsOwnCpus) {
  TempHost host;
  host.Write("proc/loadavg", "9 9 9 1/80 11206\n");
  host.Write("proc/stat", "cpu 1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\ncpu7 1 2 3 4\n");
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeLoadCheck).report.reason,
            "load 9.00 9.00 9.00 on 3 CPUs");
  host.Write("sys/devices/system/cpu/online", "0-7\n");
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeLoadCheck).report.reason,
            "load 9.00 9.00 9.00 on 8 CPUs");
}

TEST(LoadCheckTest, IsAbsentWithoutTheFile) {
  const TempHost host;
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeLoadCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
