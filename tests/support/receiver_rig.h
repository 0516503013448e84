#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "collector/remote_write/database_cursors.h"
#include "collector/remote_write/receiver.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_receiver.h"
#include "tests/support/matchers.h"
#include "tests/support/memory_segment_source.h"
#include "tests/support/state_feeder.h"

namespace fleet::test {

/// What most of these tests report: two segments of the host tempo, and two series of it as the
/// receiver names them.
inline constexpr SegmentId kFirst{7, 0};
inline constexpr SegmentId kSecond{7, 1};
inline constexpr char kLoad[] = R"(node_load1{instance="tempo",job="fleet"})";
inline constexpr char kDisk[] = R"(node_disk_io_now{device="sda",instance="tempo",job="fleet"})";
inline Report Load(double value) { return MakeReport("load", {{"node_load1", value}}); }

/// A journal, a receiver that stands in for a TSDB, and between them what is tested.
class ReceiverRig {
 public:
  explicit ReceiverRig(FakeReceiver::Options tsdb_options = {}) : tsdb(std::move(tsdb_options)) {
    auto opened = collector::OpenCursors("");
    EXPECT_THAT(opened, IsOk());
    cursors = *std::move(opened);
    options.name = "tsdb";
    options.url = "http://127.0.0.1/api/v1/write";
    Restart();
  }

  /// As a new process over what is on disk.
  void Restart() {
    receiver.reset();
    receiver = std::make_unique<collector::Receiver>(
        options,
        collector::Receiver::Parts{.clock = clock,
                                   .source = source,
                                   .context = context,
                                   .cursors = *cursors,
                                   .post = [this](auto requests) { return tsdb.PostAll(requests); },
                                   .snapshot = snapshot});
  }
  void Round() { receiver->Round({}); }
  void Advance(absl::Duration span) {
    clock.Advance(span);
    Round();
  }

  /// Appends a report that starts now (plus `later`).
  void Report(const std::string& host, SegmentId id, fleet::Report report,
              absl::Duration later = absl::ZeroDuration()) {
    report.start = clock.Now() + later;
    source.Append(host, id, report);
  }

  /// The values of a series, "stale" for a marker, by seconds since `since`.
  std::vector<std::string> Values(const std::string& series, absl::Time since) const {
    std::vector<std::string> out;
    const auto found = tsdb.series.find(series);
    if (found == tsdb.series.end()) return out;
    for (const FakeReceiver::Sample& sample : found->second) {
      const double at = static_cast<double>(sample.time_ms - absl::ToUnixMillis(since)) / 1000;
      const bool stale = std::isnan(sample.value);
      out.push_back(absl::StrCat(at, ":", stale ? "stale" : absl::StrCat(sample.value)));
    }
    return out;
  }
  uint64_t dropped(collector::DropReason reason) const {
    return receiver->stats().samples.dropped[static_cast<size_t>(reason)];
  }

  FakeClock clock;
  const absl::Time start = clock.Now();
  collector::FamilyRegistry families;
  LayoutPool layouts;
  collector::SeriesTables tables;
  collector::SeriesContext context{families, layouts, tables, {}, "fleet"};
  MemorySegmentSource source{clock};
  std::unique_ptr<collector::CursorStore> cursors;
  FakeReceiver tsdb;
  collector::Receiver::Snapshot snapshot;
  collector::ReceiverOptions options;
  std::unique_ptr<collector::Receiver> receiver;
};

}  // namespace fleet::test
