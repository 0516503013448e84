// Fills an agent's spool with what the trace says, as if its collector had been away for so long:
// tests/bench/run lets a real agent drain it.
//
//   spool_fill DIRECTORY COLLECTOR HOURS     prints samples=, reports= and bytes=
#include <filesystem>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "agent/spool.h"
#include "common/status_macros.h"
#include "tests/bench/trace.h"
#include "tests/support/spool_fixture.h"

namespace fleet::bench {
namespace {

constexpr int kIntervalSeconds = 10;

int Main(const std::string& directory, const std::string& collector, int hours) {
  std::filesystem::create_directories(directory);
  const std::vector<Round> rounds = LoadTrace(kIntervalSeconds);
  const absl::Duration interval = absl::Seconds(kIntervalSeconds);
  const auto count = static_cast<size_t>(absl::Hours(hours) / interval);
  test::FakeClock clock;
  test::FakeBootClock boot(clock);
  // It ends now, so that nothing is from the future.
  clock.Advance(absl::Now() - absl::Hours(hours) - clock.Now());
  agent::SpoolOptions options;
  options.directory = directory;
  options.collectors = {collector};
  options.epoch = 1;
  options.thread = false;
  uint64_t samples = 0;
  uint64_t reports = 0;
  {
    agent::Spool spool(options, FileSystem::Real(), clock, boot);
    Round live = rounds[0];
    for (size_t n = 0; n < count; ++n) {
      const Round& round = rounds[n % rounds.size()];
      for (size_t i = 0; i < round.size(); ++i) {
        live[i].start = clock.Now();
        live[i].interval = interval;
        live[i].duration = round[i].duration;
        live[i].reason = round[i].reason;
        live[i].items = round[i].items;
        live[i].samples.SetValues(round[i].samples.values());
        spool.Add(live[i]);
        samples += live[i].samples.size();
        ++reports;
      }
      clock.Advance(interval);
      while (spool.Work()) {
      }
    }
  }
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  std::cout << "samples=" << samples << "\nreports=" << reports << "\nbytes=" << bytes << "\n";
  return 0;
}

}  // namespace
}  // namespace fleet::bench

int main(int argc, char** argv) {
  uint32_t hours = 0;
  if (argc != 4 || !absl::SimpleAtoi(argv[3], &hours) || hours == 0) {
    std::cerr << "usage: spool_fill DIRECTORY COLLECTOR HOURS\n";
    return 64;
  }
  return fleet::bench::Main(argv[1], argv[2], static_cast<int>(hours));
}
