// Asks URLs as the collector's schedule does, spread evenly over a period, and prints what it cost:
//   probe_bench PERIOD_SECONDS COUNT URL
// "{n}" in the URL is the number of the target.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "collector/probes/schedule.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/probe/probe.h"

namespace fleet::probe {
namespace {

double CpuSeconds() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// VmHWM and RssAnon come in kB.
double StatusBytes(const std::string& name) {
  double bytes = 0;
  if (std::FILE* file = std::fopen("/proc/self/status", "r"); file != nullptr) {
    char line[256];
    while (std::fgets(line, sizeof(line), file) != nullptr) {
      const std::string text = line;
      if (text.rfind(name + ":", 0) == 0) bytes = std::atof(line + name.size() + 1) * 1024;
    }
    std::fclose(file);
  }
  return bytes;
}

int Main(double period, size_t count, const std::string& url) {
  const std::unique_ptr<Engine> engine = Engine::Create();
  const double before = CpuSeconds();
  Mutex mutex;
  std::condition_variable_any wake;
  std::condition_variable_any pace;  // nobody notifies it
  std::vector<double> lags;
  std::vector<double> totals;
  size_t failed = 0;
  // As the collector does: by its schedule, which begins together what is due soon.
  collector::ProbeSchedule schedule(1);
  Clock& clock = Clock::Real();
  const SteadyTime begin = SteadyAfter(clock.SteadyNow(), absl::Milliseconds(50));
  for (size_t i = 0; i < count; ++i) {
    const collector::ProbeSchedule::Key key(absl::StrCat(i), IpFamily::kAny);
    schedule.Add(key, absl::Seconds(period), true, begin);
    const double share = static_cast<double>(i) / static_cast<double>(count);
    schedule.Set(key, SteadyAfter(begin, absl::Seconds(period * share)));
  }
  for (size_t started = 0; started < count;) {
    {
      MutexLock lock(mutex);
      pace.wait_until(mutex, *schedule.next(),
                      [&] { return clock.SteadyNow() >= *schedule.next(); });
    }
    const SteadyTime now = clock.SteadyNow();
    for (const collector::ProbeSchedule::Due& due : schedule.TakeDue(now)) {
      ++started;
      Spec spec;
      spec.target = absl::StrReplaceAll(url, {{"{n}", due.key.first}});
      engine->Start(std::move(spec), [&, lag = due.lag, asked = clock.Now()](const Result& result) {
        MutexLock lock(mutex);
        lags.push_back(absl::ToDoubleMilliseconds(result.start - asked + lag));
        totals.push_back(absl::ToDoubleMilliseconds(result.timings.total));
        if (!result.success && failed++ == 0) std::fprintf(stderr, "%s\n", result.error.c_str());
        if (lags.size() == count) wake.notify_one();
      });
    }
  }
  {
    MutexLock lock(mutex);
    wake.wait(mutex, [&] { return lags.size() == count; });
  }
  const double cpu = CpuSeconds() - before;
  std::sort(lags.begin(), lags.end());
  std::sort(totals.begin(), totals.end());
  std::printf(
      "cpu_ms %.4f\nlag_p50_ms %.3f\nlag_p99_ms %.3f\ntotal_p50_ms %.3f\nfailed %zu\n"
      "rss_bytes %.0f\nanonymous_bytes %.0f\n",
      cpu * 1e3 / static_cast<double>(count), lags[count / 2], lags[count * 99 / 100],
      totals[count / 2], failed, StatusBytes("VmRSS"), StatusBytes("RssAnon"));
  return 0;
}

}  // namespace
}  // namespace fleet::probe

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: probe_bench PERIOD_SECONDS COUNT URL\n");
    return 64;
  }
  return fleet::probe::Main(std::atof(argv[1]), static_cast<size_t>(std::atol(argv[2])), argv[3]);
}
