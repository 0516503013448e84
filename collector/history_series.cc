#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/history.h"
#include "collector/staleness.h"
#include "common/escape.h"
#include "common/labels.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// Verdicts are no samples of the agent's, but they have a history.
constexpr absl::string_view kCheckStatus = "fleet_check_status";
/// A segment may hold reports so long after its creation.
const absl::Duration kSegmentSpan = kSegmentAgeMax + absl::Minutes(30);
/// Layouts of the host that are remembered: what an honest host has in all.
constexpr size_t kLayoutsBytes = size_t{16} << 20;
/// Buckets of all series together, some 80 bytes each.
constexpr uint32_t kPointsMax = 4'000'000;

struct Bucket {
  double min = 0;
  double max = 0;
  double last = 0;
};

/// One series on its way from samples to buckets.
struct Line {
  std::map<uint32_t, Bucket> buckets;
  absl::Time last_time = absl::InfinitePast();
  double last_value = 0;
  absl::Duration interval;

  void Put(uint32_t index, double value) {
    const auto [place, is_new] = buckets.try_emplace(index, Bucket{value, value, value});
    if (is_new) return;
    place->second.min = std::min(place->second.min, value);
    place->second.max = std::max(place->second.max, value);
    place->second.last = value;
  }
};

class Collecting {
 public:
  explicit Collecting(const SeriesQuery& query)
      : query_(query), step_((query.until - query.since) / query.buckets) {}

  void Take(const DecodedReport& report, absl::Duration offset) {
    const absl::Time when = report.start + offset;
    if (query_.metric == kCheckStatus) {
      std::string labels;
      AppendLabels({{"check", report.check}}, labels);
      if (!report.absent() && Matches(labels)) {
        Add(labels, when, static_cast<double>(report.verdict()), report.interval, false);
      }
      return;
    }
    for (const Place& place : PlacesIn(report.layout)) {
      Add(place.labels, when, report.values()[place.index], report.interval, place.counter);
    }
  }

  v1::SeriesReply Reply() const {
    v1::SeriesReply reply;
    reply.set_since_seconds(absl::ToDoubleSeconds(query_.since - absl::UnixEpoch()));
    reply.set_until_seconds(absl::ToDoubleSeconds(query_.until - absl::UnixEpoch()));
    reply.set_buckets(query_.buckets);
    reply.set_rate(counter_);
    for (const auto& [labels, line] : lines_) {
      if (line.buckets.empty()) continue;
      if (static_cast<size_t>(reply.series_size()) >= kHistorySeriesMax) {
        reply.set_left_out(reply.left_out() + 1);
        continue;
      }
      Fill(labels, line, *reply.add_series());
    }
    reply.set_left_out(reply.left_out() + left_out_);
    return reply;
  }

 private:
  struct Place {
    uint32_t index;
    std::string labels;
    bool counter;
  };
  struct Known {
    std::shared_ptr<const Layout> layout;  // held, so that its address stays its own
    std::vector<Place> places;
  };

  bool Matches(const std::string& labels) const {
    for (const auto& [name, value] : query_.matches) {
      std::string wanted;
      AppendLabels({{name, value}}, wanted);
      const size_t at = labels.find(wanted);
      const bool found = at != std::string::npos && (at == 0 || labels[at - 1] == ',') &&
                         (at + wanted.size() == labels.size() || labels[at + wanted.size()] == ',');
      if (!found) return false;
    }
    return true;
  }

  const std::vector<Place>& PlacesIn(const std::shared_ptr<const Layout>& layout) {
    if (const auto found = known_.find(layout.get()); found != known_.end()) {
      return found->second.places;
    }
    // A record of ten bytes may bring another layout of 4 MiB.
    if (layout_bytes_ > kLayoutsBytes) {
      known_.clear();
      layout_bytes_ = 0;
    }
    layout_bytes_ += layout->size() * sizeof(Layout::Series) + layout->definition_bytes();
    Known& known = known_[layout.get()];
    known.layout = layout;
    for (uint32_t i = 0; i < layout->size(); ++i) {
      const Layout::Family& family = layout->family(i);
      if (family.name != query_.metric) continue;
      std::string labels(layout->labels(i));
      if (labels.size() > StateLimits().label_bytes) continue;  // nor does /metrics have it
      if (!Matches(labels)) continue;
      known.places.push_back({i, std::move(labels), family.type == MetricType::kCounter});
    }
    return known.places;
  }

  void Add(const std::string& labels, absl::Time when, double value, absl::Duration interval,
           bool counter) {
    if (std::isnan(value)) return;
    counter_ |= counter;
    auto found = lines_.find(labels);
    if (found == lines_.end()) {
      if (lines_.size() >= std::min<size_t>(4 * kHistorySeriesMax, kPointsMax / query_.buckets)) {
        ++left_out_;
        return;
      }
      found = lines_.emplace(labels, Line()).first;
    }
    Line& line = found->second;
    const absl::Time before_time = line.last_time;
    const double before = line.last_value;
    if (when <= before_time) return;  // overlaps are told once
    line.last_time = when;
    line.last_value = value;
    line.interval = interval;
    if (counter) {
      const absl::Duration span = when - before_time;
      if (before_time == absl::InfinitePast() || span > FreshFor(interval)) return;
      // A counter that fell was reset: what it has now, it has since.
      value = (value >= before ? value - before : value) / absl::ToDoubleSeconds(span);
    }
    if (when < query_.since || when > query_.until) return;
    const auto index = static_cast<uint32_t>((when - query_.since) / step_);
    line.Put(std::min(index, query_.buckets - 1), value);
  }

  static void Fill(const std::string& labels, const Line& line, v1::SeriesReply::Series& out) {
    // Labels come from agents, and a proto carries UTF-8 only.
    out.set_labels(OneLine(labels, 4096));
    out.set_min(std::numeric_limits<double>::infinity());
    out.set_max(-std::numeric_limits<double>::infinity());
    out.set_interval_seconds(absl::ToDoubleSeconds(line.interval));
    for (const auto& [index, from] : line.buckets) {
      v1::SeriesReply::Bucket& bucket = *out.add_buckets();
      bucket.set_index(index);
      bucket.set_min(from.min);
      bucket.set_max(from.max);
      bucket.set_last(from.last);
      out.set_min(std::min(out.min(), from.min));
      out.set_max(std::max(out.max(), from.max));
      out.set_last(from.last);
    }
  }

  const SeriesQuery& query_;
  const absl::Duration step_;
  bool counter_ = false;
  uint64_t left_out_ = 0;
  std::map<std::string, Line> lines_;
  absl::flat_hash_map<const Layout*, Known> known_;
  size_t layout_bytes_ = 0;  // of known_
};

}  // namespace

absl::StatusOr<v1::SeriesReply> QuerySeries(const SegmentSource& source, const SeriesQuery& query) {
  if (query.since >= query.until) {
    return absl::InvalidArgumentError("the time to look at ends before it starts");
  }
  if (query.buckets == 0 || query.buckets > kHistoryBucketsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 1 to ", kHistoryBucketsMax, " buckets"));
  }
  const std::vector<StoredSegment> segments = source.Segments(query.host);
  if (segments.empty()) {
    return absl::NotFoundError(
        absl::StrCat("nothing of a host ", Quote(query.host), " is in the journal"));
  }
  Collecting collecting(query);
  for (const StoredSegment& segment : segments) {
    if (segment.created + kSegmentSpan < query.since || segment.created > query.until) continue;
    ReadReports(source, segment, nullptr,
                [&](const DecodedReport& report) { collecting.Take(report, segment.offset); });
  }
  v1::SeriesReply reply = collecting.Reply();
  if (reply.series().empty()) {
    return absl::NotFoundError(absl::StrCat(query.host, " had no ", Quote(query.metric),
                                            " with these labels in that time"));
  }
  return reply;
}

}  // namespace fleet::collector
