#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/remote_write/batch.h"
#include "collector/remote_write/track.h"
#include "common/segment/segment.h"

namespace fleet::collector {

/// What all timelines share. Each must outlive them.
struct SeriesContext {
  FamilyRegistry& families;
  LayoutPool& layouts;
  SeriesTables& tables;
  SeriesLimits limits;
  std::string job;
  ItemLimits items = {};
  size_t checks_max = 256;  // of one host
};

/// One host's reports in order, made into samples: the series that /metrics would have, at the
/// reports' own times, and a stale marker where one ends. Not thread-safe.
class HostTimeline {
 public:
  /// Until when the receiver is known to have the series of a table.
  using TakenUntil = absl::FunctionRef<int64_t(const SeriesTable&)>;

  explicit HostTimeline(SeriesContext& context) : context_(context) {}

  /// Forgets everything, as when time goes back.
  void Reset();

  /// Adds a report, whose start by the collector's clock is `start`. A check that had fallen silent
  /// before then (max(3 × its interval, 45 s), DESIGN 3.5) ends there first. Without a batch all of
  /// it is only remembered. Of more checks than a host may have nothing is taken, as the state of
  /// the collector takes nothing of them; nor of looks: the collector's own series of its probes
  /// tell what a vantage saw.
  void Take(const DecodedReport& report, absl::Time start, TakenUntil taken_until, Batch* batch);

  /// Ends, at the moment `now`, all series of a host that has fallen silent, when nothing more is
  /// known of it: a little before their next values were due. Those may yet come, late, and must
  /// then not be older than the marker. One check that is silent alone ends with the next report of
  /// another.
  void Expire(absl::Time now, Batch& batch);

  /// Before this Expire has nothing to do.
  absl::Time silent_at() const { return silent_at_; }
  bool empty() const { return checks_.empty(); }

 private:
  struct Check {
    Check(absl::string_view check_name, uint64_t id)
        : name(check_name), samples(2 * id), builtin(2 * id + 1) {}
    std::string name;
    std::weak_ptr<const Layout> source;
    std::shared_ptr<const PublishedLayout> published;
    SeriesTrack samples;
    SeriesTrack builtin;
    absl::Time start;
    absl::Time end;
    absl::Duration interval;
    absl::Time last_success = absl::InfinitePast();
    ItemsSize items;

    bool open() const { return samples.open() || builtin.open(); }
    absl::Time expiry() const;
    void End(absl::Time time, Batch* batch);
  };

  /// Null when the host has too many checks.
  Check* Find(absl::string_view name);
  void Publish(Check& check, const DecodedReport& report);
  void EndBefore(absl::Time time, Batch* batch);
  void FindExpiries();

  SeriesContext& context_;
  std::vector<std::unique_ptr<Check>> checks_;
  absl::Time next_expiry_ = absl::InfiniteFuture();  // of one check
  absl::Time silent_at_ = absl::InfiniteFuture();
  absl::Time last_end_ = absl::InfinitePast();  // of the report taken last
};

}  // namespace fleet::collector
