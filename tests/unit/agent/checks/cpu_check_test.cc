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
using ::testing::Not;

constexpr char kStat[] =
    "cpu  300 10 50 900 40 1 2 30 5 6\n"
    "cpu1 300 10 50 900 40 1 2 30 5 6\n"
    "intr 304745 0 0\nctxt 527178\nbtime 1699990000\nprocesses 11755\n"
    "procs_running 12\nprocs_blocked 1\n";

std::string Waiting(double seconds, double avg300 = 0) {
  return absl::StrCat("some avg10=0.00 avg60=0.00 avg300=", avg300 * 100,
                      " total=", static_cast<int64_t>(seconds * 1e6), "\n");
}

TEST(CpuCheckTest, EmitsWhatNodeExporterDoes) {
  TempHost host;
  host.Write("proc/stat", kStat)
      .Write("proc/net/softnet_stat", "0000000a 00000001 00000002 0 0 0 0 0 0 0 0 0 00000001\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeCpuCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre(R"(node_cpu_seconds_total{cpu="1",mode="user"} 3)",
                  R"(node_cpu_seconds_total{cpu="1",mode="nice"} 0.1)",
                  R"(node_cpu_seconds_total{cpu="1",mode="system"} 0.5)",
                  R"(node_cpu_seconds_total{cpu="1",mode="idle"} 9)",
                  R"(node_cpu_seconds_total{cpu="1",mode="iowait"} 0.4)",
                  R"(node_cpu_seconds_total{cpu="1",mode="irq"} 0.01)",
                  R"(node_cpu_seconds_total{cpu="1",mode="softirq"} 0.02)",
                  R"(node_cpu_seconds_total{cpu="1",mode="steal"} 0.3)",
                  R"(node_cpu_guest_seconds_total{cpu="1",mode="user"} 0.05)",
                  R"(node_cpu_guest_seconds_total{cpu="1",mode="nice"} 0.06)",
                  "node_boot_time_seconds 1699990000", "node_context_switches_total 527178",
                  "node_forks_total 11755", "node_intr_total 304745", "node_procs_running 12",
                  "node_procs_blocked 1", R"(node_softnet_processed_total{cpu="1"} 10)",
                  R"(node_softnet_dropped_total{cpu="1"} 1)",
                  R"(node_softnet_times_squeezed_total{cpu="1"} 2)"));
  EXPECT_EQ(result.verdict(), Verdict::kOk);
  EXPECT_EQ(result.report.reason, "1 CPU");
}

TEST(CpuCheckTest, SaysHowBusyTheCpusWereSinceTheLastRun) {
  TempHost host;
  CheckRunner runner(host.fs());
  const auto check = MakeCpuCheck(runner.env());
  host.Write("proc/stat", "cpu 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\n");
  runner.Run(*check);
  host.Write("proc/stat", "cpu 300 0 100 400 100 0 0 100\ncpu0 0 0 0 0\ncpu1 0 0 0 0\n");
  EXPECT_EQ(runner.Run(*check).report.reason, "2 CPUs 50.0 % busy, 10.0 % taken by the hypervisor");
}

TEST(CpuCheckTest, WarnsOnlyAboutWaitingThatLasts) {
  TempHost host;
  host.Write("proc/stat", kStat).Write("proc/pressure/cpu", Waiting(100));
  CheckRunner runner(host.fs());
  const auto check = MakeCpuCheck(runner.env());
  double waited = 100;
  const auto run_for = [&](absl::Duration span, double ratio) {
    CheckResult result;
    for (; span > absl::ZeroDuration(); span -= absl::Seconds(10)) {
      runner.clock().Advance(absl::Seconds(10));
      waited += 10 * ratio;
      host.Write("proc/pressure/cpu", Waiting(waited));
      result = runner.Run(*check);
    }
    return result;
  };
  EXPECT_EQ(run_for(absl::Minutes(10), 0).verdict(), Verdict::kOk);
  EXPECT_EQ(run_for(absl::Minutes(3), 1).verdict(), Verdict::kOk);
  const CheckResult result = run_for(absl::Minutes(3), 1);
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason, HasSubstr("tasks waited for a CPU 100.0 % of the last 5 min"));
  EXPECT_EQ(run_for(absl::Minutes(1), 0).verdict(), Verdict::kOk);
}

TEST(CpuCheckTest, AsksTheKernelsAverageAtFirst) {
  TempHost host;
  host.Write("proc/stat", kStat).Write("proc/pressure/cpu", Waiting(100, 0.97));
  EXPECT_EQ(CheckRunner(host.fs()).Run(MakeCpuCheck).verdict(), Verdict::kWarn);
}

TEST(CpuCheckTest, DoesWithoutPressure) {
  TempHost host;
  host.Write("proc/stat", kStat);
  const CheckResult result = CheckRunner(host.fs()).Run(MakeCpuCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.report.reason, Not(HasSubstr("waited")));
}

TEST(CpuCheckTest, KeepsWhatItReadBeforeAnError) {
  TempHost host;
  host.Write("proc/stat", kStat).Write("proc/net/softnet_stat", "x\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeCpuCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(result.value("node_intr_total"), 304745);
}

TEST(CpuCheckTest, IsAbsentWithoutTheFile) {
  const TempHost host;
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeCpuCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
