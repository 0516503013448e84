// Bytes and nanoseconds per sample of the segment encoding on the recorded trace.
#include <benchmark/benchmark.h>
#include <zstd.h>

#include <map>

#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "common/status_macros.h"
#include "tests/bench/trace.h"

namespace fleet::bench {
namespace {

const std::vector<Round>& Trace(int step) {
  static std::map<int, std::vector<Round>> traces;
  auto [entry, added] = traces.try_emplace(step);
  if (added) entry->second = LoadTrace(step);
  return entry->second;
}

/// Hands every report of the trace to `visit`, one after the other.
template <typename Visit>
void ForEachReport(const std::vector<Round>& rounds, Visit visit) {
  // As in the agent, a check's reports are made in the same memory each time, so that it is warm;
  // 600 rounds side by side would measure how fast the machine reads 120 MB.
  Round live = rounds[0];
  // And they share their series, as those of one check do.
  for (Report& report : live) report.samples.Next();
  for (const Round& round : rounds) {
    for (size_t i = 0; i < round.size(); ++i) {
      Report& report = live[i];
      report.start = round[i].start;
      report.duration = round[i].duration;
      report.reason = round[i].reason;
      report.items = round[i].items;
      report.samples.SetValues(round[i].samples.values());
      visit(report);
    }
  }
}

/// The trace as the agent would write it: a new segment where the last is full.
std::vector<std::string> Segments(const std::vector<Round>& rounds) {
  std::vector<std::string> segments;
  std::unique_ptr<SegmentEncoder> encoder;
  ForEachReport(rounds, [&](const Report& report) {
    if (encoder == nullptr || encoder->Full(report.start)) {
      encoder = std::make_unique<SegmentEncoder>(SegmentId{1, segments.size()}, report.start);
      segments.emplace_back();
    }
    FLEET_ASSERT(encoder->Append(report, segments.back()).ok());
  });
  return segments;
}

/// Shown in seconds with a prefix: "5.1ns".
benchmark::Counter PerSample(benchmark::State& state, size_t samples) {
  return {static_cast<double>(state.iterations()) * static_cast<double>(samples),
          benchmark::Counter::kIsRate | benchmark::Counter::kInvert};
}

void Encode(benchmark::State& state) {
  const std::vector<Round>& rounds = Trace(static_cast<int>(state.range(0)));
  const size_t samples = SampleCount(rounds);
  std::vector<std::string> segments;
  for (auto _ : state) segments = Segments(rounds);
  size_t bytes = 0;
  size_t packed = 0;
  for (const std::string& segment : segments) {
    std::string out(ZSTD_compressBound(segment.size()), '\0');
    bytes += segment.size();
    packed += ZSTD_compress(out.data(), out.size(), segment.data(), segment.size(), 3);
  }
  const auto count = static_cast<double>(samples);
  state.counters["bytes/sample"] = static_cast<double>(bytes) / count;
  state.counters["on_disk/sample"] = static_cast<double>(packed) / count;
  state.counters["segments"] = static_cast<double>(segments.size());
  state.counters["time/sample"] = PerSample(state, samples);
}
BENCHMARK(Encode)->ArgName("interval_s")->Arg(1)->Arg(10)->Unit(benchmark::kMillisecond);

/// What Encode spends on having the reports at hand, which is no part of encoding them.
void Feed(benchmark::State& state) {
  const std::vector<Round>& rounds = Trace(static_cast<int>(state.range(0)));
  const size_t samples = SampleCount(rounds);
  for (auto _ : state) {
    ForEachReport(rounds, [](const Report& report) { benchmark::DoNotOptimize(&report); });
  }
  state.counters["time/sample"] = PerSample(state, samples);
}
BENCHMARK(Feed)->ArgName("interval_s")->Arg(1)->Arg(10)->Unit(benchmark::kMillisecond);

void Decode(benchmark::State& state) {
  const std::vector<Round>& rounds = Trace(static_cast<int>(state.range(0)));
  const std::vector<std::string> segments = Segments(rounds);
  const size_t samples = SampleCount(rounds);
  for (auto _ : state) {
    for (const std::string& segment : segments) {
      SegmentDecoder decoder;
      double sum = 0;
      FLEET_ASSERT(decoder
                       .Feed(segment,
                             [&sum](const DecodedReport& report) {
                               sum += report.values().empty() ? 0 : report.values()[0];
                               return absl::OkStatus();
                             })
                       .ok());
      benchmark::DoNotOptimize(sum);
    }
  }
  state.counters["time/sample"] = PerSample(state, samples);
}
BENCHMARK(Decode)->ArgName("interval_s")->Arg(1)->Arg(10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fleet::bench

BENCHMARK_MAIN();
