#include "agent/checks/clock_check.h"

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

class ClockCheckTest : public ::testing::Test {
 protected:
  ClockCheckTest() { host_.Write("proc/uptime", "86400.00 1.00\n"); }
  CheckResult Run(const absl::StatusOr<KernelClock>& clock) {
    CheckRunner runner(host_.fs());
    return runner.Run(*MakeClockCheckFrom(runner.env(), [&clock] { return clock; }));
  }
  static KernelClock Synchronised(double offset_seconds) {
    KernelClock clock;
    clock.timex.status = STA_PLL | STA_NANO;
    clock.timex.offset = static_cast<long>(offset_seconds * 1e9);
    return clock;
  }
  static KernelClock Unsynchronised() {
    KernelClock clock;
    clock.state = TIME_ERROR;
    clock.timex.status = STA_UNSYNC;
    return clock;
  }
  TempHost host_;
};

TEST_F(ClockCheckTest, EmitsWhatNodeExporterDoes) {
  host_.Write("sys/devices/system/clocksource/clocksource0/available_clocksource",
              "tsc kvm-clock \n");
  host_.Write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
  host_.Write("sys/devices/system/clocksource/power/control", "auto\n");
  KernelClock clock = Synchronised(-0.001);
  clock.timex.freq = 65536 * 20;  // 20 ppm
  clock.timex.maxerror = 1500;
  clock.timex.esterror = 16;
  clock.timex.constant = 7;
  clock.timex.tick = 10000;
  clock.timex.tai = 37;
  const CheckResult result = Run(clock);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre("node_time_seconds 1.7e+09",
                  R"(node_time_clocksource_available_info{clocksource="tsc",device="0"} 1)",
                  R"(node_time_clocksource_available_info{clocksource="kvm-clock",device="0"} 1)",
                  R"(node_time_clocksource_current_info{clocksource="tsc",device="0"} 1)",
                  "node_timex_sync_status 1", "node_timex_offset_seconds -0.001",
                  "node_timex_frequency_adjustment_ratio 1.00002",
                  "node_timex_maxerror_seconds 0.0015",
                  "node_timex_estimated_error_seconds 1.6e-05", "node_timex_status 8193",
                  "node_timex_loop_time_constant 7", "node_timex_tick_seconds 0.01",
                  "node_timex_pps_frequency_hertz 0", "node_timex_pps_jitter_seconds 0",
                  "node_timex_pps_shift_seconds 0", "node_timex_pps_stability_hertz 0",
                  "node_timex_pps_jitter_total 0", "node_timex_pps_calibration_total 0",
                  "node_timex_pps_error_total 0", "node_timex_pps_stability_exceeded_total 0",
                  "node_timex_tai_offset_seconds 37"));
  EXPECT_EQ(result.verdict(), Verdict::kOk);
  EXPECT_EQ(result.report.reason, "synchronised, 1 ms off");
}

TEST_F(ClockCheckTest, CountsMicrosecondsWithoutTheNanoFlag) {
  KernelClock clock;
  clock.timex.offset = 2500;
  EXPECT_EQ(Run(clock).value("node_timex_offset_seconds"), 0.0025);
}

TEST_F(ClockCheckTest, JudgesTheOffset) {
  EXPECT_EQ(Run(Synchronised(0.09)).verdict(), Verdict::kOk);
  EXPECT_EQ(Run(Synchronised(0.2)).verdict(), Verdict::kWarn);
  EXPECT_EQ(Run(Synchronised(0.2)).report.reason, "clock is 200 ms behind its time server");
  EXPECT_EQ(Run(Synchronised(-1.5)).verdict(), Verdict::kCrit);
  EXPECT_EQ(Run(Synchronised(-1.5)).report.reason, "clock is 1.5 s ahead of its time server");
}

TEST_F(ClockCheckTest, WarnsAboutAClockThatNothingKeeps) {
  const CheckResult result = Run(Unsynchronised());
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason, HasSubstr("clock not synchronised"));
  EXPECT_EQ(result.value("node_timex_sync_status"), 0);
}

TEST_F(ClockCheckTest, IsPatientAfterBoot) {
  host_.Write("proc/uptime", "60.00 1.00\n");
  const CheckResult result = Run(Unsynchronised());
  EXPECT_EQ(result.verdict(), Verdict::kOk);
  EXPECT_EQ(result.report.reason, "clock not synchronised");
}

TEST_F(ClockCheckTest, LeavesAContainersClockToItsHost) {
  host_.Write("run/systemd/container", "docker\n");
  EXPECT_EQ(Run(Unsynchronised()).verdict(), Verdict::kOk);
  EXPECT_THAT(Run(absl::PermissionDeniedError("adjtimex")).status, IsOk());
}

TEST_F(ClockCheckTest, NamesWhatForbidsIt) {
  const CheckResult result = Run(absl::PermissionDeniedError("adjtimex"));
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("ProtectClock=no"));
  EXPECT_EQ(result.value("node_time_seconds"), 1'700'000'000);
}

TEST_F(ClockCheckTest, AsksNoKernelForAFixtureHost) {
  const CheckResult result = CheckRunner(host_.fs()).Run(MakeClockCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.lines(), ElementsAre("node_time_seconds 1.7e+09"));
}

TEST_F(ClockCheckTest, NamesOfSourcesAreNeverTrusted) {
  host_
      .Write("sys/devices/system/clocksource/clocksource0/available_clocksource",
             "tsc \xff\xfe\"}\n")
      .Write("sys/devices/system/clocksource/clocksource0/current_clocksource", "");
  const CheckResult result = CheckRunner(host_.fs()).Run(MakeClockCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre("node_time_seconds 1.7e+09",
                  R"(node_time_clocksource_available_info{clocksource="tsc",device="0"} 1)",
                  R"(node_time_clocksource_available_info{clocksource="??\"}",device="0"} 1)"));
}

TEST_F(ClockCheckTest, AsksThisKernelOtherwise) {
  CheckRunner runner((HostFs()));
  runner.UseRealClock();
  const CheckResult result = runner.Run(MakeClockCheck);
  if (absl::IsPermissionDenied(result.status)) GTEST_SKIP() << "adjtimex is forbidden here";
  ASSERT_THAT(result.status, IsOk());
  EXPECT_GT(result.value("node_timex_tick_seconds"), 0);
}

}  // namespace
}  // namespace fleet::agent
