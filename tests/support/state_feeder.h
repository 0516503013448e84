#pragma once

#include <map>
#include <string>

#include "collector/state.h"
#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::test {

/// Sends reports of hosts through the real encoding into a FleetState.
class StateFeeder {
 public:
  explicit StateFeeder(collector::FleetState& state, Clock& clock) : state_(state), clock_(clock) {}

  uint64_t Connect(const std::string& host, absl::Duration interval = absl::Seconds(10)) {
    const auto id = state_.Connect(host, {"1.0", interval}, "192.0.2.1");
    EXPECT_THAT(id, IsOk());
    streams_.erase(host);
    return id.ok() ? *id : 0;
  }

  /// As the agent of `host` would send it now. Connects first where that was not done.
  absl::Status Send(const std::string& host, const Report& report,
                    absl::Duration skew = absl::ZeroDuration()) {
    if (!state_.Knows(host)) Connect(host);
    const auto stream =
        streams_.try_emplace(host, SegmentId{1, streams_.size()}, clock_.Now(), state_.layouts())
            .first;
    std::string bytes;
    EXPECT_THAT(stream->second.encoder.Append(report, bytes), IsOk());
    return stream->second.decoder
                   .Feed(bytes,
                         [&](const DecodedReport& decoded) {
                           outcome_ = state_.Apply(host, decoded, clock_.Now() + skew,
                                                   {.reports = 3, .dropped_reports = 2});
                           return absl::OkStatus();
                         })
                   .ok()
               ? outcome_
               : absl::InternalError("did not decode");
  }

 private:
  struct Stream {
    Stream(SegmentId id, absl::Time now, LayoutPool& pool) : encoder(id, now), decoder(&pool) {}
    SegmentEncoder encoder;
    SegmentDecoder decoder;
  };

  collector::FleetState& state_;
  Clock& clock_;
  std::map<std::string, Stream> streams_;
  absl::Status outcome_;
};

/// A report with samples given as `name{labels}` (or `name`) and value, all gauges.
inline Report MakeReport(absl::string_view check,
                         const std::vector<std::pair<std::string, double>>& samples = {},
                         Verdict verdict = Verdict::kOk, absl::string_view reason = "") {
  Report report;
  report.check = std::string(check);
  report.interval = absl::Seconds(10);
  report.duration = absl::Milliseconds(2);
  report.verdict = verdict;
  report.reason = std::string(reason);
  for (const auto& [series, value] : samples) {
    const size_t brace = std::min(series.find('{'), series.size());
    const std::string name = series.substr(0, brace);
    const std::string labels =
        brace == series.size() ? "" : series.substr(brace + 1, series.size() - brace - 2);
    report.samples.AddRaw({name, MetricType::kGauge, "Help of " + name + "."}, labels, value);
  }
  return report;
}

}  // namespace fleet::test
