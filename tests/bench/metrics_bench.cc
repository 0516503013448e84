// /metrics of a fleet of 1,000 or 2,000 hosts with 500 series each, beside prometheus-cpp's
// serializer of as many; memory per live series at 10,000 hosts; ingest into the state.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "collector/exposition.h"
#include "collector/state.h"
#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "common/status_macros.h"
#include "tests/bench/trace.h"

namespace fleet::bench {
namespace {

constexpr size_t kSeriesPerHost = 500;

/// The reports of a host with 500 series: the node part of the trace, cut at 500.
const std::vector<Round>& HostRounds() {
  static const std::vector<Round>& rounds = *new std::vector<Round>([] {
    std::vector<Round> kept;
    std::vector<Round> trace = LoadTrace(60);
    for (Round& round : trace) {
      size_t room = kSeriesPerHost;
      Round host;
      for (Report& report : round) {
        if (report.check == "postgres" || report.check == "redis") continue;
        SampleSet samples;
        for (size_t i = 0; i < report.samples.size() && room > 0; ++i, --room) {
          const SampleSet::Series& series = report.samples.series()[i];
          samples.AddRaw(report.samples.families()[series.family], report.samples.labels(i),
                         report.samples.values()[i]);
        }
        report.samples = std::move(samples);
        host.push_back(std::move(report));
      }
      kept.push_back(std::move(host));
    }
    return kept;
  }());
  return rounds;
}

/// A host's stream, decoded as it would be on the collector.
struct Stream {
  explicit Stream(LayoutPool& pool) : decoder(&pool) {}
  SegmentDecoder decoder;
};

struct Fleet {
  explicit Fleet(size_t count) : state(Clock::Real(), MakeOptions()) {
    SegmentEncoder encoder({1, 0}, absl::Now());
    std::vector<std::string> pieces;
    for (const Round& round : HostRounds()) {
      std::string& piece = pieces.emplace_back();
      for (const Report& report : round) FLEET_ASSERT(encoder.Append(report, piece).ok());
    }
    for (size_t i = 0; i < count; ++i) {
      hosts.push_back(absl::StrCat("host", i));
      FLEET_ASSERT(state.Connect(hosts.back(), {"1.0", absl::Seconds(10)}, "10.0.0.1").ok());
      streams.push_back(std::make_unique<Stream>(state.layouts()));
      for (size_t piece = 0; piece < 2; ++piece) Feed(i, pieces[piece]);
    }
  }

  static collector::StateOptions MakeOptions() {
    collector::StateOptions options;
    options.limits.reports_per_second = 1e12;
    return options;
  }

  void Feed(size_t host, absl::string_view piece) {
    FLEET_ASSERT(streams[host]
                     ->decoder
                     .Feed(piece,
                           [&](const DecodedReport& report) {
                             return state.Apply(hosts[host], report, absl::InfinitePast());
                           })
                     .ok());
  }

  collector::FleetState state;
  std::vector<std::string> hosts;
  std::vector<std::unique_ptr<Stream>> streams;
};

Fleet& FleetOf(size_t hosts) {
  static std::map<size_t, std::unique_ptr<Fleet>> fleets;
  std::unique_ptr<Fleet>& fleet = fleets[hosts];
  if (fleet == nullptr) fleet = std::make_unique<Fleet>(hosts);
  return *fleet;
}

void Render(benchmark::State& state) {
  Fleet& fleet = FleetOf(static_cast<size_t>(state.range(0)));
  const bool gzip = state.range(1) != 0;
  std::vector<char> buffer(64 * 1024);
  size_t bytes = 0;
  for (auto _ : state) {
    const auto body = collector::MakeExpositionBody(fleet.state.Snapshot(),
                                                    collector::ExpositionFormat::kText, gzip);
    while (const size_t count = *body->Read(buffer.data(), buffer.size())) bytes += count;
  }
  state.counters["bytes"] = static_cast<double>(bytes) / static_cast<double>(state.iterations());
  state.counters["series"] = static_cast<double>(fleet.hosts.size() * kSeriesPerHost);
}
BENCHMARK(Render)
    ->ArgNames({"hosts", "gzip"})
    ->ArgsProduct({{1000, 2000}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

/// The same families, series and values through prometheus-cpp.
void RenderByPrometheusCpp(benchmark::State& state) {
  std::map<std::string, prometheus::MetricFamily> by_name;
  const Round& round = HostRounds()[1];
  for (int64_t host = 0; host < state.range(0); ++host) {
    for (const Report& report : round) {
      for (size_t i = 0; i < report.samples.size(); ++i) {
        const auto& family = report.samples.families()[report.samples.series()[i].family];
        prometheus::MetricFamily& out = by_name[family.name];
        out.name = family.name;
        out.help = family.help;
        out.type = prometheus::MetricType::Gauge;
        prometheus::ClientMetric metric;
        metric.label = {{"labels", std::string(report.samples.labels(i))},
                        {"instance", absl::StrCat("host", host)},
                        {"job", "fleet"}};
        metric.gauge.value = report.samples.values()[i];
        out.metric.push_back(std::move(metric));
      }
    }
  }
  std::vector<prometheus::MetricFamily> families;
  for (auto& [name, family] : by_name) families.push_back(std::move(family));
  by_name.clear();
  for (auto _ : state) {
    const std::string text = prometheus::TextSerializer().Serialize(families);
    benchmark::DoNotOptimize(text.data());
  }
}
BENCHMARK(RenderByPrometheusCpp)->ArgName("hosts")->Arg(1000)->Unit(benchmark::kMillisecond);

/// Decoders, layouts and state together, by what malloc gave out.
void MemoryPerSeries(benchmark::State& state) {
  const auto hosts = static_cast<size_t>(state.range(0));
  HostRounds();
  double per_series = 0;
  for (auto _ : state) {
    const auto before = ::mallinfo2();
    const Fleet fleet(hosts);
    const auto after = ::mallinfo2();
    const size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    per_series = static_cast<double>(used) / static_cast<double>(hosts * kSeriesPerHost);
  }
  state.counters["bytes/series"] = per_series;
}
BENCHMARK(MemoryPerSeries)
    ->ArgName("hosts")
    ->Arg(10'000)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

/// Decode and state, without network and journal.
void Ingest(benchmark::State& state) {
  const std::vector<Round>& rounds = HostRounds();
  SegmentEncoder encoder({1, 0}, absl::Now());
  std::vector<std::string> pieces;
  size_t samples = 0;
  for (const Round& round : rounds) {
    std::string& piece = pieces.emplace_back();
    for (const Report& report : round) {
      FLEET_ASSERT(encoder.Append(report, piece).ok());
      samples += report.samples.size();
    }
  }
  constexpr size_t kHosts = 100;
  for (auto _ : state) {
    state.PauseTiming();
    Fleet fleet(kHosts);
    for (size_t host = 0; host < kHosts; ++host) {
      fleet.streams[host] = std::make_unique<Stream>(fleet.state.layouts());
    }
    state.ResumeTiming();
    for (const std::string& piece : pieces) {
      for (size_t host = 0; host < kHosts; ++host) fleet.Feed(host, piece);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kHosts * samples));
}
BENCHMARK(Ingest)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fleet::bench

BENCHMARK_MAIN();
