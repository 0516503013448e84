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
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kTotalKib = 16 << 20;

std::string Meminfo(double available_ratio, double swap_used_ratio = 0) {
  constexpr double kSwapKib = 1 << 20;
  return absl::StrCat(
      "MemTotal: ", kTotalKib,
      " kB\nMemFree: 100 kB\nMemAvailable: ", static_cast<int64_t>(kTotalKib * available_ratio),
      " kB\nSwapTotal: ", static_cast<int64_t>(kSwapKib),
      " kB\nSwapFree: ", static_cast<int64_t>(kSwapKib * (1 - swap_used_ratio)), " kB\n");
}
std::string Pressure(double seconds, double avg60 = 0) {
  return absl::StrCat("some avg10=0.00 avg60=", avg60 * 100,
                      " avg300=0.00 total=", static_cast<int64_t>(seconds * 1e6),
                      "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
}
std::string Kills(int count) { return absl::StrCat("pgfault 7\noom_kill ", count, "\n"); }

class MemoryCheckTest : public ::testing::Test {
 protected:
  MemoryCheckTest() {
    host_.Write("proc/meminfo", Meminfo(0.5))
        .Write("proc/sys/kernel/random/boot_id", "5c3f-1\n")
        .Write("proc/uptime", "864000.12 1.00\n");
  }
  CheckResult Run() { return runner_.Run(MakeMemoryCheck); }

  TempHost host_;
  CheckRunner runner_{host_.fs()};
};

TEST_F(MemoryCheckTest, EmitsWhatNodeExporterDoes) {
  host_
      .Write("proc/meminfo",
             "MemTotal: 1000 kB\nMemAvailable: 900 kB\nActive(anon): 7 kB\nHugePages_Total: 2\n")
      .Write("proc/vmstat", "nr_free_pages 1\npgfault 7\noom_kill 0\n")
      .Write("proc/pressure/memory", Pressure(1.5));
  const CheckResult result = Run();
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre("node_memory_MemTotal_bytes 1024000", "node_memory_MemAvailable_bytes 921600",
                  "node_memory_Active_anon_bytes 7168", "node_memory_HugePages_Total 2",
                  "node_pressure_memory_waiting_seconds_total 1.5",
                  "node_pressure_memory_stalled_seconds_total 0", "node_vmstat_pgfault 7",
                  "node_vmstat_oom_kill 0"));
  EXPECT_EQ(result.verdict(), Verdict::kOk);
  EXPECT_EQ(result.report.reason, "900 KiB of 1000 KiB available (90.0 %)");
}

TEST_F(MemoryCheckTest, JudgesWhatIsAvailable) {
  const struct {
    double available;
    Verdict verdict;
  } kCases[] = {
      {0.5, Verdict::kOk}, {0.11, Verdict::kOk}, {0.09, Verdict::kWarn}, {0.03, Verdict::kCrit}};
  for (const auto& [available, verdict] : kCases) {
    SCOPED_TRACE(available);
    host_.Write("proc/meminfo", Meminfo(available));
    EXPECT_EQ(Run().verdict(), verdict);
  }
  EXPECT_EQ(Run().report.reason, "492 MiB of 16.0 GiB available (3.0 %)");
}

TEST_F(MemoryCheckTest, EstimatesWhatOldKernelsDoNotSay) {
  host_.Write("proc/meminfo",
              "MemTotal: 1000 kB\nMemFree: 30 kB\nBuffers: 10 kB\nCached: 500 kB\nShmem: 480 kB\n");
  const CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason, HasSubstr("60.0 KiB of 1000 KiB available (6.0 %)"));
}

TEST_F(MemoryCheckTest, JudgesTheShareOfTimeTasksWaited) {
  const auto check = MakeMemoryCheck(runner_.env());
  double waited = 0;
  const auto run_for_a_minute = [&](double ratio) {
    CheckResult result;
    for (int i = 0; i < 7; ++i) {
      runner_.clock().Advance(absl::Seconds(10));
      waited += 10 * ratio;
      host_.Write("proc/pressure/memory", Pressure(waited));
      result = runner_.Run(*check);
    }
    return result;
  };
  EXPECT_EQ(run_for_a_minute(0).verdict(), Verdict::kOk);
  const CheckResult warned = run_for_a_minute(0.23);
  EXPECT_EQ(warned.verdict(), Verdict::kWarn);
  EXPECT_EQ(warned.report.reason,
            "8.0 GiB of 16.0 GiB available (50.0 %), tasks waited for memory 23.0 % of the last "
            "minute");
  EXPECT_EQ(run_for_a_minute(0.7).verdict(), Verdict::kCrit);
  EXPECT_EQ(run_for_a_minute(0).verdict(), Verdict::kOk);
}

TEST_F(MemoryCheckTest, AFullSwapAloneIsNoTrouble) {
  host_.Write("proc/meminfo", Meminfo(0.5, 0.95)).Write("proc/pressure/memory", Pressure(0, 0.01));
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
  host_.Write("proc/pressure/memory", Pressure(0, 0.06));
  const CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason, HasSubstr("swap 95.0 % full"));
}

TEST_F(MemoryCheckTest, WarnsForAnHourAfterAnOomKill) {
  host_.Write("proc/vmstat", Kills(3));
  CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kOk) << "nobody knows when the first three were";
  EXPECT_THAT(result.report.reason, HasSubstr("3 processes killed for want of memory since boot"));

  runner_.clock().Advance(absl::Seconds(10));
  host_.Write("proc/vmstat", Kills(5));
  EXPECT_EQ(Run().verdict(), Verdict::kWarn);
  runner_.clock().Advance(absl::Minutes(20));
  result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason,
              HasSubstr("out of memory: 2 processes killed, last 20 min ago (5 since boot)"));
  runner_.clock().Advance(absl::Minutes(45));
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
}

TEST_F(MemoryCheckTest, ARebootResetsTheCount) {
  host_.Write("proc/vmstat", Kills(3));
  Run();
  host_.Write("proc/sys/kernel/random/boot_id", "5c3f-2\n").Write("proc/vmstat", Kills(0));
  EXPECT_THAT(Run().report.reason, Not(HasSubstr("killed")));
  host_.Write("proc/vmstat", Kills(1));
  const CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_THAT(result.report.reason, HasSubstr("1 process killed, last 0 s ago (1 since boot)"));
  // As many kills as the boot before had, or more, are still this boot's own.
  host_.Write("proc/sys/kernel/random/boot_id", "5c3f-3\n").Write("proc/vmstat", Kills(2));
  runner_.clock().Advance(absl::Hours(2));
  EXPECT_THAT(Run().report.reason, HasSubstr("2 processes killed, last 0 s ago (2 since boot)"));
}

TEST_F(MemoryCheckTest, KillsOfAFreshBootAreRecent) {
  host_.Write("proc/vmstat", Kills(1)).Write("proc/uptime", "120.00 1.00\n");
  EXPECT_EQ(Run().verdict(), Verdict::kWarn);
}

TEST_F(MemoryCheckTest, RemembersOnlyWhenSomethingHappened) {
  host_.Write("proc/vmstat", Kills(3)).Write("proc/pressure/memory", Pressure(0));
  Run();
  const uint64_t revision = runner_.memory().revision();
  for (int i = 0; i < 10; ++i) {
    runner_.clock().Advance(absl::Seconds(10));
    host_.Write("proc/pressure/memory", Pressure(i));
    Run();
  }
  EXPECT_EQ(runner_.memory().revision(), revision);
}

TEST_F(MemoryCheckTest, SurvivesADamagedMemory) {
  host_.Write("proc/vmstat", Kills(3));
  for (const char* text : {"", "x", "b x", "b 1 5", "b 1 5:", "b 1 x:1", "b 99999999999999999999",
                           "5c3f-1 3 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 "
                           "1:1 1:1"}) {
    SCOPED_TRACE(text);
    runner_.memory().Set("oom", text);
    EXPECT_THAT(Run().status, IsOk());
    EXPECT_EQ(*runner_.memory().Find("oom"), "5c3f-1 3");
  }
}

TEST_F(MemoryCheckTest, WatchesPressureWhereThereIsSome) {
  const auto check = MakeMemoryCheck(runner_.env());
  runner_.Run(*check);
  EXPECT_THAT(check->watches(), IsEmpty());
  host_.Write("proc/pressure/memory", Pressure(0));
  runner_.Run(*check);
  EXPECT_THAT(check->watches(), ElementsAre(Watch{Watch::Kind::kPressure, "proc/pressure/memory",
                                                  "some 300000 2000000"}));
}

TEST_F(MemoryCheckTest, ABrokenFileDoesNotHideThatMemoryRunsOut) {
  host_.Write("proc/meminfo", Meminfo(0.03)).Write("proc/pressure/memory", "garbage\n");
  const CheckResult result = Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(result.verdict(), Verdict::kCrit);
}

TEST_F(MemoryCheckTest, IsAbsentWithoutTheFile) {
  host_.Remove("proc/meminfo");
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
