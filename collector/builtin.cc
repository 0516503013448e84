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
    {"fleet_host_refused_reports_total", MetricType::kCounter,
     "Reports refused because of the limits on rate and number of checks."},
    {"fleet_host_refused_series", MetricType::kGauge,
     "Series of the newest reports that are not served, by reason."},
    {"fleet_host_series", MetricType::kGauge, "Series served of the host."},
    {"fleet_host_spool_reports", MetricType::kGauge,
     "Reports that wait on the host for the collector."},
    {"fleet_host_status", MetricType::kGauge,
     "Worst verdict of the host's checks, unknown when it is silent: 0 ok, 1 warn, 2 crit, "
     "3 unknown."},
    {"fleet_host_up", MetricType::kGauge,
     "Whether the host was heard of within max(3 x its interval, 45 s)."},
    {"fleet_item_status", MetricType::kGauge,
     "Verdict of one part of a check: 0 ok, 1 warn, 2 crit, 3 unknown."},
};

enum Builtin : size_t {
  kCheckDuration,
  kCheckFollows,
  kCheckLastSuccess,
  kCheckStatus,
  kCheckSuccess,
  kHostClockSkew,
  kHostLastSeen,
  kHostRefusedReports,
  kHostRefusedSeries,
  kHostSeries,
  kHostSpoolReports,
  kHostStatus,
  kHostUp,
  kItemStatus,
  kBuiltins
};
static_assert(std::size(kMetrics) == kBuiltins);

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

class Lines {
 public:
  Lines(size_t index, const HostView& host, std::string& out)
      : name_(kMetrics[index].name), tail_(host.facts->our_tail), out_(out) {}

  void Add(absl::Span<const Label> labels, double value) {
    absl::StrAppend(&out_, name_, "{");
    AppendLabels(labels, out_);
    absl::StrAppend(&out_, labels.empty() ? "" : ",", tail_);
    AppendValue(value, out_);
    out_.push_back('\n');
  }

 private:
  const absl::string_view name_;
  const absl::string_view tail_;
  std::string& out_;
};

/// Items that bear the same name are one series: the worst of them.
void AppendItems(const CheckView& check, Lines& lines) {
  absl::btree_map<absl::string_view, Verdict> worst;
  for (const Item& item : check.status->items) {
    const auto [entry, added] = worst.try_emplace(item.name, item.verdict);
    if (!added) entry->second = Worse(entry->second, item.verdict);
  }
  for (const auto& [name, verdict] : worst) {
    lines.Add({{"check", check.name}, {"item", name}}, static_cast<double>(verdict));
  }
}

void AppendCheck(size_t index, const CheckView& check, Lines& lines) {
  const ReportStatus& status = *check.status;
  const Label label{"check", check.name};
  switch (index) {
    case kCheckDuration:
      return lines.Add({label}, absl::ToDoubleSeconds(check.duration));
    case kCheckFollows:
      if (check.caused_by.empty()) return;
      return lines.Add({label, {"cause", check.caused_by}}, 1);
    case kCheckLastSuccess:
      if (check.last_success == absl::InfinitePast()) return;
      return lines.Add({label}, Seconds(check.last_success));
    case kCheckStatus:
      return lines.Add({label}, static_cast<double>(status.verdict));
    case kCheckSuccess:
      return lines.Add({label}, status.success ? 1 : 0);
    case kItemStatus:
      return AppendItems(check, lines);
    default:
      return;
  }
}

void AppendHost(size_t index, const HostView& host, Lines& lines) {
  // Of a silent host only this much is left.
  if (index == kHostUp) return lines.Add({}, host.up ? 1 : 0);
  if (index == kHostLastSeen) return lines.Add({}, Seconds(host.last_seen));
  if (index == kHostStatus) return lines.Add({}, static_cast<double>(HostVerdict(host)));
  if (!host.up) return;
  switch (index) {
    case kHostClockSkew:
      return lines.Add({}, absl::ToDoubleSeconds(host.skew));
    case kHostRefusedReports:
      return lines.Add({}, static_cast<double>(host.refused_reports));
    case kHostRefusedSeries:
      for (size_t i = 0; i < kRefusals; ++i) {
        lines.Add({{"reason", RefusalName(static_cast<Refusal>(i))}},
                  static_cast<double>(host.refused_series[i]));
      }
      return;
    case kHostSeries:
      return lines.Add({}, static_cast<double>(host.series));
    case kHostSpoolReports:
      return lines.Add({}, static_cast<double>(host.spool_reports));
    default:
      for (const CheckView& check : host.checks) {
        if (!check.stale && !check.status->absent) AppendCheck(index, check, lines);
      }
  }
}

}  // namespace

absl::Span<const MetricDesc> BuiltinMetrics() { return kMetrics; }

void AppendBuiltin(size_t index, const HostView& host, std::string& out) {
  Lines lines(index, host, out);
  AppendHost(index, host, lines);
}

}  // namespace fleet::collector
