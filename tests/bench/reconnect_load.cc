// How long a fleet takes to be back when its collector was killed, on this machine with both ends
// on it. Not a test and not a Google Benchmark: tests/bench/run starts it and reads its key=value
// lines.
//
//   reconnect_load AGENTS
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status_macros.h"
#include "tests/support/agent_swarm.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/fleet_processes.h"

namespace fleet::bench {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(180);

bool AllStream(const test::AgentSwarm& swarm) {
  const bool all = test::WaitFor([&] { return swarm.streaming() == swarm.size(); }, kPatience);
  if (!all) {
    std::fprintf(stderr, "%zu of %zu stream; %s\n", swarm.streaming(), swarm.size(),
                 swarm.last_error().c_str());
  }
  return all;
}

int Main(size_t count) {
  rlimit files{};
  FLEET_ASSERT(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = files.rlim_max;
  FLEET_ASSERT(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  const test::TestCa ca;
  test::FleetLab lab;
  const test::FleetLab::CollectorOptions options =
      lab.WithTls(ca.Issue(Role::kCollector, "collector"),
                  "limits: {connections_per_address: 100000, handshakes_per_second: 1000000}\n");
  lab.StartCollector(options);
  FLEET_ASSERT(lab.WaitReady());
  test::AgentSwarm swarm(lab.grpc_port(), ca, count);
  const absl::Time first = absl::Now();
  swarm.Start();
  if (!AllStream(swarm)) return 1;
  std::cout << "first_seconds=" << absl::ToDoubleSeconds(absl::Now() - first) << std::endl;

  lab.collector().Kill(SIGKILL);
  lab.collector().Wait(absl::Seconds(10));
  FLEET_ASSERT(test::WaitFor([&] { return swarm.streaming() == 0; }, kPatience));
  const uint64_t attempts = swarm.attempts();
  const absl::Time start = absl::Now();
  lab.StartCollector(options);
  if (!AllStream(swarm)) return 1;
  std::cout << "seconds=" << absl::ToDoubleSeconds(absl::Now() - start) << std::endl
            << "attempts=" << swarm.attempts() - attempts << std::endl
            << "peak_bytes=" << test::PeakBytesOf(lab.collector().pid()) << std::endl;
  return 0;
}

}  // namespace
}  // namespace fleet::bench

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  uint32_t count = 0;
  if (argc != 2 || !absl::SimpleAtoi(argv[1], &count) || count == 0) {
    std::cerr << "usage: reconnect_load AGENTS\n";
    return 64;
  }
  return fleet::bench::Main(count);
}
