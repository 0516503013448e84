// Many HTTP probes of one real collector against a local nginx: how late looks begin, and what that
// costs. Prints one line per figure; exits 1 when the lag misses its budget.
//
//     probe_load [PROBES [PERIOD_SECONDS [RUN_SECONDS]]]     default 1000 30 90
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

constexpr double kLagBudget = 0.25;  // seconds, of 99 %

struct Figures {
  std::vector<std::pair<double, double>> buckets;  // upper edge, cumulative count
  double looks = 0;
  double missed = 0;
  double cpu = 0;
};

Figures Read(const CollectorProcess& collector) {
  Figures figures;
  const std::string text = HttpGet(collector.url("/metrics/self")).body;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    double value = 0;
    if (!absl::SimpleAtod(parts.second, &value)) continue;
    constexpr absl::string_view kBucket = "fleet_probe_schedule_lag_seconds_bucket{le=\"";
    if (parts.first.rfind(std::string(kBucket), 0) == 0) {
      const std::string edge = parts.first.substr(
          kBucket.size(), parts.first.find('"', kBucket.size()) - kBucket.size());
      double upper = 1e9;
      if (edge != "+Inf" && !absl::SimpleAtod(edge, &upper)) continue;
      figures.buckets.emplace_back(upper, value);
    } else if (parts.first.rfind("fleet_probe_missed_turns_total", 0) == 0) {
      figures.missed += value;
    } else if (parts.first == "fleet_probe_looks_total") {
      figures.looks = value;
    } else if (parts.first == "process_cpu_seconds_total") {
      figures.cpu = value;
    }
  }
  std::sort(figures.buckets.begin(), figures.buckets.end());
  return figures;
}

/// The edge below which `share` of what came between `before` and `after` lies.
double Quantile(const Figures& before, const Figures& after, double share) {
  const double all = after.buckets.back().second - before.buckets.back().second;
  for (size_t i = 0; i < after.buckets.size(); ++i) {
    if (after.buckets[i].second - before.buckets[i].second >= share * all) {
      return after.buckets[i].first;
    }
  }
  return 1e9;
}

void Pause(double seconds) {
  timespec span = {static_cast<time_t>(seconds), 0};
  ::nanosleep(&span, nullptr);
}

int Main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const int probes = argument(1, 1'000);
  const int period = argument(2, 30);
  const int run = argument(3, 90);
  WebServer web;
  if (!web.Serve("return 200 hello;")) {
    std::fprintf(stderr, "probe_load: nginx does not answer\n");
    return 1;
  }
  const TempDir dir;
  std::string config = absl::StrCat("data_dir: ", dir / "data", "\nprobes:\n");
  for (int i = 0; i < probes; ++i) {
    absl::StrAppend(&config, "- {name: p", i, ", period: ", period, "s, url: \"",
                    web.url(absl::StrCat("/", i)), "\"}\n");
  }
  const CollectorProcess collector(dir, config);
  // The first looks come closer together than all later ones.
  Pause(period + 12);
  const Figures before = Read(collector);
  if (before.buckets.empty()) {
    std::fprintf(stderr, "probe_load: no lag is told\n%s\n", collector.log().c_str());
    return 1;
  }
  Pause(run);
  const Figures after = Read(collector);
  const double lag = Quantile(before, after, 0.99);
  std::printf("probes %d, period %d s, run %d s\n", probes, period, run);
  std::printf("looks %.0f (%.1f/s), missed turns %.0f\n", after.looks - before.looks,
              (after.looks - before.looks) / run, after.missed - before.missed);
  std::printf("schedule lag: p50 <= %g s, p99 <= %g s (budget %g s)\n",
              Quantile(before, after, 0.5), lag, kLagBudget);
  std::printf("collector: cpu %.2f %%, memory %.1f MB\n", 100 * (after.cpu - before.cpu) / run,
              collector.PeakBytes() / 1e6);
  return lag <= kLagBudget ? 0 : 1;
}

}  // namespace
}  // namespace fleet::test

int main(int argc, char** argv) { return fleet::test::Main(argc, argv); }
