// What remote-write costs per sample, from the journal's bytes to the compressed request, on the
// recorded trace at 10 s; and what protobuf's own classes would cost in its place.
#include <benchmark/benchmark.h>

#include "collector/remote_write/database_cursors.h"
#include "collector/remote_write/receiver.h"
#include "collector/remote_write/snappy.h"
#include "fleet/v1/remote_write.pb.h"
#include "tests/bench/trace.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_receiver.h"
#include "tests/support/memory_segment_source.h"

namespace fleet::bench {
namespace {

constexpr SegmentId kSegment{1, 0};

/// Takes everything and counts.
struct Sink {
  std::vector<absl::StatusOr<HttpResponse>> Post(absl::Span<const HttpRequest> requests) {
    std::vector<absl::StatusOr<HttpResponse>> responses;
    for (const HttpRequest& request : requests) {
      bytes += request.body.size();
      body = request.body;
      responses.push_back(test::MakeResponse(204));
    }
    return responses;
  }
  size_t bytes = 0;
  std::string body;  // the newest
};

struct Rig {
  explicit Rig(size_t samples_per_request) {
    collector::ReceiverOptions options;
    options.name = "sink";
    options.samples_per_request = samples_per_request;
    receiver = std::make_unique<collector::Receiver>(
        options,
        collector::Receiver::Parts{.clock = clock,
                                   .source = source,
                                   .context = context,
                                   .cursors = *cursors,
                                   .post = [this](auto requests) { return sink.Post(requests); },
                                   .snapshot = nullptr});
  }
  void Append(const Round& round) {
    for (const Report& report : round) source.Append("tempo", kSegment, report);
  }

  test::FakeClock clock;
  collector::FamilyRegistry families;
  LayoutPool layouts;
  collector::SeriesTables tables;
  collector::SeriesContext context{families, layouts, tables, {}, "fleet"};
  test::MemorySegmentSource source{clock};
  std::unique_ptr<collector::CursorStore> cursors = *collector::OpenCursors("");
  Sink sink;
  std::unique_ptr<collector::Receiver> receiver;
};

void Report(benchmark::State& state, const Rig& rig) {
  const auto samples = static_cast<double>(rig.receiver->stats().samples.sent);
  state.counters["bytes/sample"] = static_cast<double>(rig.sink.bytes) / samples;
  // Shown in seconds with a prefix.
  state.counters["time/sample"] = {
      samples, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert};
}

/// Each collection by itself, as it is while all is well: one sample of each series per request.
void Live(benchmark::State& state) {
  const std::vector<Round> rounds = LoadTrace(10);
  for (auto _ : state) {
    state.PauseTiming();
    auto rig = std::make_unique<Rig>(100'000);
    rig->source.Open("tempo", kSegment, rounds.front().front().start);
    state.ResumeTiming();
    for (const Round& round : rounds) {
      state.PauseTiming();
      rig->clock.JumpWall(round.back().start + absl::Seconds(1) - rig->clock.Now());
      rig->Append(round);
      state.ResumeTiming();
      rig->receiver->Round({});
    }
    state.PauseTiming();
    Report(state, *rig);
    rig.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(Live)->Unit(benchmark::kMillisecond);

/// Everything at once, as after an outage.
void Backlog(benchmark::State& state) {
  const std::vector<Round> rounds = LoadTrace(10);
  for (auto _ : state) {
    state.PauseTiming();
    auto rig = std::make_unique<Rig>(static_cast<size_t>(state.range(0)));
    rig->clock.JumpWall(rounds.back().back().start + absl::Minutes(1) - rig->clock.Now());
    rig->source.Open("tempo", kSegment, rounds.front().front().start);
    for (const Round& round : rounds) rig->Append(round);
    state.ResumeTiming();
    rig->receiver->Round({});
    state.PauseTiming();
    Report(state, *rig);
    rig.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(Backlog)
    ->ArgName("samples_per_request")
    ->Arg(5'000)
    ->Arg(50'000)
    ->Unit(benchmark::kMillisecond);

/// The last live request, made by protobuf from labels that are split already.
void ProtobufClasses(benchmark::State& state) {
  const std::vector<Round> rounds = LoadTrace(300);
  Rig rig(100'000);
  rig.clock.JumpWall(rounds.back().back().start + absl::Minutes(1) - rig.clock.Now());
  rig.source.Open("tempo", kSegment, rounds.front().front().start);
  rig.Append(rounds.back());
  rig.receiver->Round({});
  const size_t samples = rig.receiver->stats().samples.sent;
  // Metadata went last; ask for the samples again.
  Rig again(100'000);
  again.clock.JumpWall(rounds.back().back().start + absl::Minutes(1) - again.clock.Now());
  v1::prometheus::WriteRequest parsed;
  again.source.Open("tempo", kSegment, rounds.front().front().start);
  again.Append(rounds.back());
  std::string first;
  again.receiver = nullptr;
  collector::ReceiverOptions options;
  options.name = "again";
  options.samples_per_request = 100'000;
  collector::Receiver receiver(options,
                               collector::Receiver::Parts{.clock = again.clock,
                                                          .source = again.source,
                                                          .context = again.context,
                                                          .cursors = *again.cursors,
                                                          .post =
                                                              [&](auto requests) {
                                                                if (first.empty())
                                                                  first = requests[0].body;
                                                                return again.sink.Post(requests);
                                                              },
                                                          .snapshot = nullptr});
  receiver.Round({});
  parsed.ParseFromString(*collector::SnappyUncompress(first, 64 << 20));
  for (auto _ : state) {
    v1::prometheus::WriteRequest request;
    for (const v1::prometheus::TimeSeries& series : parsed.timeseries()) {
      v1::prometheus::TimeSeries& out = *request.add_timeseries();
      for (const v1::prometheus::Label& label : series.labels()) {
        v1::prometheus::Label& copy = *out.add_labels();
        copy.set_name(label.name());
        copy.set_value(label.value());
      }
      v1::prometheus::Sample& sample = *out.add_samples();
      sample.set_value(series.samples(0).value());
      sample.set_timestamp(series.samples(0).timestamp());
    }
    benchmark::DoNotOptimize(collector::SnappyCompress(request.SerializeAsString()));
  }
  state.counters["time/sample"] = {
      static_cast<double>(samples),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert};
}
BENCHMARK(ProtobufClasses);

}  // namespace
}  // namespace fleet::bench

BENCHMARK_MAIN();
