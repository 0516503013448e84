#include "collector/history.h"

#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "collector/staleness.h"
#include "common/probe/look_report.h"
#include "common/segment/decoder.h"

namespace fleet::collector {
namespace {

/// Segments of a host that are looked at, and how much older than the newest they may be.
constexpr size_t kLookBackSegments = 6;
constexpr absl::Duration kLookBack = absl::Hours(3);

/// The newest report of each check of a host, within what a host may have: a segment may hold a
/// hundred times its size.
class NewestReports {
 public:
  explicit NewestReports(const StateLimits& limits) : limits_(limits) {}

  void Take(const DecodedReport& report, absl::Time seen) {
    auto place = checks_.find(report.check);
    if (place == checks_.end()) {
      if (checks_.size() >= limits_.checks_per_host) return;
      place = checks_.emplace(report.check, RestoredCheck()).first;
    }
    RestoredCheck& check = place->second;
    if (report.success()) check.last_success = std::max(check.last_success, seen);
    if (check.status != nullptr && check.seen > seen) return;
    check.status = report.status;
    check.seen = seen;
    check.interval = report.interval;
    check.duration = report.duration;
    if (check.layout != report.layout) SetLayout(check, report.layout);
    check.block = check.layout == report.layout ? report.block : nullptr;
  }

  std::vector<RestoredCheck> Checks() && {
    std::vector<RestoredCheck> found;
    for (auto& [name, check] : checks_) {
      check.name = name;
      found.push_back(std::move(check));
    }
    return found;
  }

 private:
  void SetLayout(RestoredCheck& check, const std::shared_ptr<const Layout>& layout) {
    if (check.layout != nullptr) definition_bytes_ -= check.layout->definition_bytes();
    check.layout = layout;
    if (definition_bytes_ + layout->definition_bytes() > limits_.definition_bytes) {
      check.layout = nothing_;
    }
    definition_bytes_ += check.layout->definition_bytes();
  }

  const StateLimits& limits_;
  const std::shared_ptr<const Layout> nothing_ = std::make_shared<const Layout>();
  std::map<std::string, RestoredCheck, std::less<>> checks_;
  size_t definition_bytes_ = 0;
};

HostView ViewOf(const std::string& host, std::vector<RestoredCheck> checks, absl::Time at,
                const ItemLimits& limits) {
  HostView view;
  auto facts = std::make_shared<HostFacts>();
  facts->name = host;
  view.facts = std::move(facts);
  absl::Duration interval = absl::Hours(24);
  for (const RestoredCheck& check : checks) {
    view.last_seen = std::max(view.last_seen, check.seen);
    interval = std::min(interval, check.interval);
  }
  view.age = at - view.last_seen;
  view.up = view.age <= FreshFor(interval);
  ItemsSize items;
  for (RestoredCheck& from : checks) {
    CheckView& check = view.checks.emplace_back();
    check.name = std::move(from.name);
    check.status = FitItems(std::move(from.status), items, limits);
    items += SizeOfItems(*check.status);
    check.age = at - from.seen;
    check.interval = from.interval;
    check.duration = from.duration;
    check.last_success = from.last_success;
    if (from.last_success != absl::InfinitePast()) check.last_success_age = at - from.last_success;
    check.stale = !view.up || check.age > FreshFor(check.interval);
    if (!check.stale) view.series += from.layout->size();
  }
  return view;
}

}  // namespace

void ReadReports(const SegmentSource& source, const StoredSegment& segment, LayoutPool* pool,
                 absl::FunctionRef<void(const DecodedReport&)> sink) {
  const absl::StatusOr<std::string> bytes = source.Read(segment.host, segment.id);
  if (!bytes.ok()) return;  // retention took it meanwhile
  SegmentDecoder decoder(pool);
  decoder
      .Feed(*bytes,
            [&sink](const DecodedReport& report) {
              if (!probe::IsLook(report.check)) sink(report);
              return absl::OkStatus();
            })
      .IgnoreError();  // what came before the damage counts
}

std::vector<RestoredCheck> ChecksAt(const SegmentSource& source, absl::string_view host,
                                    absl::Time at, const StateLimits& limits, LayoutPool* pool) {
  std::vector<StoredSegment> segments = source.Segments(host);
  segments.erase(std::remove_if(segments.begin(), segments.end(),
                                [at](const StoredSegment& s) { return s.created > at; }),
                 segments.end());
  NewestReports newest(limits);
  size_t looked = 0;
  for (auto it = segments.rbegin(); it != segments.rend(); ++it) {
    if (++looked > kLookBackSegments || segments.back().created - it->created > kLookBack) break;
    ReadReports(source, *it, pool, [&](const DecodedReport& report) {
      const absl::Time seen = report.start + report.duration + it->offset;
      if (seen <= at) newest.Take(report, seen);
    });
  }
  return std::move(newest).Checks();
}

v1::StatusReply StatusAt(const SegmentSource& source, const StateOptions& options,
                         const v1::StatusRequest& request, absl::Time at,
                         absl::FunctionRef<bool(absl::string_view)> wanted) {
  FleetView view;
  // All hosts even for one: its cause may be another host.
  for (const std::string& host : source.Hosts()) {
    if (!wanted(host)) continue;
    std::vector<RestoredCheck> checks = ChecksAt(source, host, at, options.limits, nullptr);
    if (checks.empty()) continue;
    view.hosts.push_back(ViewOf(host, std::move(checks), at, options.limits.items));
  }
  return MakeStatus(view, options, request);
}

void RestoreState(const SegmentSource& source, FleetState& state, absl::Time now,
                  absl::FunctionRef<bool(absl::string_view)> wanted) {
  for (const std::string& host : source.Hosts()) {
    if (!wanted(host) || state.Knows(host)) continue;
    state.Restore(host, ChecksAt(source, host, now, state.options().limits, &state.layouts()));
  }
}

}  // namespace fleet::collector
