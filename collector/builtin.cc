#include "collector/builtin.h"

#include <iterator>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "collector/exposition.h"
#include "common/labels.h"
#include "common/report.h"

namespace fleet::collector {
namespace {

// Sorted by name, in the order of Builtin.
constexpr MetricDesc kMetrics[] = {
    {"fleet_check_duration_seconds", MetricType::kGauge, "How long the check's last run took."},
    {"fleet_check_follows", MetricType::kGauge,
     "1 for a check whose verdict follows from something else, named by its cause."},
    {"fleet_check_last_success_timestamp_seconds", MetricType::kGauge,
     "When a report of a run that worked last arrived, by the collector's clock."},
    {"fleet_check_status", MetricType::kGauge,
     "Verdict of the check: 0 ok, 1 warn, 2 crit, 3 unknown."},
    {"fleet_check_success", MetricType::kGauge,
     "Whether the check's last run itself worked; what it found is in fleet_check_status."},
    {"fleet_host_clock_skew_seconds", MetricType::kGauge,
     "The host's clock minus the collector's."},
    {"fleet_host_last_seen_timestamp_seconds", MetricType::kGauge,
     "When anything of the host last arrived, by the collector's clock."},
    {"fleet_host_refused_items", MetricType::kGauge,
     "Items of the newest reports that are not shown, beyond the limits of a host."},
    {"fleet_host_refused_reports_total", MetricType::kCounter,
     "Reports refused because of the limits on rate and number of checks."},
    {"fleet_host_refused_series", MetricType::kGauge,
     "Series of the newest reports that are not served, by reason."},
    {"fleet_host_series", MetricType::kGauge, "Series served of the host."},
    {"fleet_host_status", MetricType::kGauge,
     "Worst verdict of the host's checks, unknown when it is silent: 0 ok, 1 warn, 2 crit, "
     "3 unknown."},
    {"fleet_host_up", MetricType::kGauge,
     "Whether the host was heard of within max(3 x its interval, 45 s)."},
    {"fleet_item_status", MetricType::kGauge,
     "Verdict of one part of a check: 0 ok, 1 warn, 2 crit, 3 unknown."},
    {"fleet_spool_bytes", MetricType::kGauge, "Bytes that the spool takes on the host."},
    {"fleet_spool_damaged_bytes_total", MetricType::kCounter,
     "Bytes of the host's spool that were found unreadable since its agent started."},
    {"fleet_spool_dropped_reports_total", MetricType::kCounter,
     "Reports dropped from the host's spool for one of its bounds since its agent started."},
    {"fleet_spool_oldest_age_seconds", MetricType::kGauge,
     "Age of the oldest segment in the host's spool."},
    {"fleet_spool_reports", MetricType::kGauge, "Reports that wait on the host for the collector."},
    {"fleet_spool_segments", MetricType::kGauge, "Segments in the host's spool."},
};

enum Builtin : size_t {
  kCheckDuration,
  kCheckFollows,
  kCheckLastSuccess,
  kCheckStatus,
  kCheckSuccess,
  kHostClockSkew,
  kHostLastSeen,
  kHostRefusedItems,
  kHostRefusedReports,
  kHostRefusedSeries,
  kHostSeries,
  kHostStatus,
  kHostUp,
  kItemStatus,
  kSpoolBytes,
  kSpoolDamagedBytes,
  kSpoolDroppedReports,
  kSpoolOldestAge,
  kSpoolReports,
  kSpoolSegments,
  kBuiltins
};
static_assert(std::size(kMetrics) == kBuiltins);

double Seconds(absl::Time time) { return static_cast<double>(absl::ToUnixMicros(time)) / 1e6; }

using Sink = absl::FunctionRef<void(absl::Span<const Label>, double)>;

/// Items that bear the same name are one series: the worst of them.
void VisitItems(const CheckView& check, Sink sink) {
  absl::btree_map<absl::string_view, Verdict> worst;
  for (const Item& item : check.status->items) {
    const auto [entry, added] = worst.try_emplace(item.name, item.verdict);
    if (!added) entry->second = Worse(entry->second, item.verdict);
  }
  for (const auto& [name, verdict] : worst) {
    sink({{"check", check.name}, {"item", name}}, static_cast<double>(verdict));
  }
}

void VisitCheck(size_t index, const CheckView& check, Sink sink) {
  const ReportStatus& status = *check.status;
  const Label label{"check", check.name};
  switch (index) {
    case kCheckDuration:
      return sink({label}, absl::ToDoubleSeconds(check.duration));
    case kCheckFollows:
      if (check.caused_by.empty()) return;
      return sink({label, {"cause", check.caused_by}}, 1);
    case kCheckLastSuccess:
      if (check.last_success == absl::InfinitePast()) return;
      return sink({label}, Seconds(check.last_success));
    case kCheckStatus:
      return sink({label}, static_cast<double>(status.verdict));
    case kCheckSuccess:
      return sink({label}, status.success ? 1 : 0);
    case kItemStatus:
      return VisitItems(check, sink);
    default:
      return;
  }
}

double SpoolValue(size_t index, const SpoolFacts& spool) {
  switch (index) {
    case kSpoolBytes:
      return static_cast<double>(spool.bytes);
    case kSpoolDamagedBytes:
      return static_cast<double>(spool.damaged_bytes);
    case kSpoolDroppedReports:
      return static_cast<double>(spool.dropped_reports);
    case kSpoolOldestAge:
      return absl::ToDoubleSeconds(spool.oldest_age);
    case kSpoolSegments:
      return static_cast<double>(spool.segments);
    default:
      return static_cast<double>(spool.reports);
  }
}

void VisitHost(size_t index, const HostView& host, Sink sink) {
  // Of a silent host only this much is left.
  if (index == kHostUp) return sink({}, host.up ? 1 : 0);
  if (index == kHostLastSeen) return sink({}, Seconds(host.last_seen));
  if (index == kHostStatus) return sink({}, static_cast<double>(HostVerdict(host)));
  if (!host.up) return;
  switch (index) {
    case kHostClockSkew:
      return sink({}, absl::ToDoubleSeconds(host.skew));
    case kHostRefusedItems:
      return sink({}, static_cast<double>(host.refused_items));
    case kHostRefusedReports:
      return sink({}, static_cast<double>(host.refused_reports));
    case kHostRefusedSeries:
      for (size_t i = 0; i < kRefusals; ++i) {
        sink({{"reason", RefusalName(static_cast<Refusal>(i))}},
             static_cast<double>(host.refused_series[i]));
      }
      return;
    case kHostSeries:
      return sink({}, static_cast<double>(host.series));
    case kSpoolBytes:
    case kSpoolDamagedBytes:
    case kSpoolDroppedReports:
    case kSpoolOldestAge:
    case kSpoolReports:
    case kSpoolSegments:
      return sink({}, SpoolValue(index, host.spool));
    default:
      for (const CheckView& check : host.checks) {
        if (!check.stale && !check.status->absent) VisitCheck(index, check, sink);
      }
  }
}

}  // namespace

absl::Span<const MetricDesc> BuiltinMetrics() { return kMetrics; }

BuiltinSource SourceOfBuiltin(size_t index) {
  switch (index) {
    case kCheckDuration:
    case kCheckLastSuccess:
    case kCheckStatus:
    case kCheckSuccess:
    case kItemStatus:
      return BuiltinSource::kReport;
    default:
      return BuiltinSource::kMoment;
  }
}

void VisitBuiltin(size_t index, const HostView& host, Sink sink) { VisitHost(index, host, sink); }

void AppendBuiltin(size_t index, const HostView& host, std::string& out) {
  VisitHost(index, host, [&](absl::Span<const Label> labels, double value) {
    absl::StrAppend(&out, kMetrics[index].name, "{");
    AppendLabels(labels, out);
    absl::StrAppend(&out, labels.empty() ? "" : ",", host.facts->our_tail);
    AppendValue(value, out);
    out.push_back('\n');
  });
}

}  // namespace fleet::collector
