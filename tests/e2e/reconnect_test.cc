// A collector that dies under a fleet: all its agents come back at once, over mutual TLS, and all
// are served. A thousand in `./dev test`, 5,000 in `./dev test --soak`; `./dev bench reconnect`
// judges the time.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/agent_swarm.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"

namespace fleet::test {
namespace {

/// How many, by what tests/e2e/CMakeLists.txt says.
size_t Agents() {
  const char* text = std::getenv("FLEET_TEST_AGENTS");  // NOLINT(concurrency-mt-unsafe)
  size_t agents = 0;
  return text != nullptr && absl::SimpleAtoi(text, &agents) ? agents : 1'000;
}
/// For a machine that does other things besides; the figure that counts is the benchmark's.
constexpr absl::Duration kPatience = absl::Seconds(150);
/// Who was let in is not tried again, and who was not, a few times with growing pauses.
constexpr uint64_t kAttemptsEachMax = 6;
#ifdef __SANITIZE_ADDRESS__
double BytesMax(size_t) { return 2e9; }
#else
double BytesMax(size_t agents) { return 64e6 + 250e3 * static_cast<double>(agents); }
#endif

TEST(ReconnectTest, AllComeBackAtOnce) {
  const size_t agents = Agents();
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 4 * agents) GTEST_SKIP() << "too few descriptors: " << files.rlim_max;

  const TestCa ca;
  FleetLab lab;
  const FleetLab::CollectorOptions options =
      lab.WithTls(ca.Issue(Role::kCollector, "collector"),
                  "limits: {connections_per_address: 20000, handshakes_per_second: 10000}\n");
  lab.StartCollector(options);
  ASSERT_TRUE(lab.WaitReady()) << lab.log("collector");
  AgentSwarm swarm(lab.grpc_port(), ca, agents);
  swarm.Start();
  ASSERT_TRUE(WaitFor([&] { return swarm.streaming() == agents; }, kPatience))
      << swarm.streaming() << " stream; " << swarm.last_error();

  lab.collector().Kill(SIGKILL);
  ASSERT_TRUE(lab.collector().Wait(absl::Seconds(10)).has_value());
  ASSERT_TRUE(WaitFor([&] { return swarm.streaming() == 0; }));
  const uint64_t attempts = swarm.attempts();
  const absl::Time start = absl::Now();
  lab.StartCollector(options);
  EXPECT_TRUE(WaitFor([&] { return swarm.streaming() == agents; }, kPatience))
      << swarm.streaming() << " stream; " << swarm.last_error();
  const absl::Duration took = absl::Now() - start;
  const double peak = PeakBytesOf(lab.collector().pid());
  std::printf(
      "dev: measured: %zu agents are back after %s, with %.0f MB at most in the collector\n",
      agents, absl::FormatDuration(took).c_str(), peak / 1e6);
  RecordProperty("seconds", absl::StrCat(absl::ToDoubleSeconds(took)));
  RecordProperty("peak_bytes", absl::StrCat(peak));
  EXPECT_LT(peak, BytesMax(agents));
  EXPECT_LE(swarm.attempts() - attempts, kAttemptsEachMax * agents);
  EXPECT_EQ(lab.SelfMetric("fleet_collector_streams{lane=\"live\"}"), agents);
  EXPECT_EQ(lab.SelfMetric("fleet_collector_connections_shut_total{reason=\"unread\"}"), 0);
}

}  // namespace
}  // namespace fleet::test
