#include "collector/probes/probe_series.h"

#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/probes/probe_status.h"
#include "common/labels.h"

namespace fleet::collector {
namespace {

constexpr MetricDesc kDown = {"fleet_probe_down", MetricType::kGauge,
                              "Whether the probe has a confirmed downtime right now."};
constexpr MetricDesc kDowntimes = {"fleet_probe_downtimes", MetricType::kGauge,
                                   "Downtimes of the probe that touch the last 30 days."};
constexpr MetricDesc kFailing = {"fleet_probe_failing_vantages", MetricType::kGauge,
                                 "Vantages that see the probe fail right now."};
constexpr MetricDesc kFollows = {
    "fleet_probe_follows", MetricType::kGauge,
    "1 for a probe whose downtime follows from something else, named by its cause."};
constexpr MetricDesc kLastLook = {"fleet_probe_last_look_timestamp_seconds", MetricType::kGauge,
                                  "When the probe was last looked at."};
constexpr MetricDesc kReported = {
    "fleet_probe_reported_info", MetricType::kGauge,
    "Always 1; a header of the newest answer that report_headers names, with its value."};
constexpr MetricDesc kStatus = {"fleet_probe_status", MetricType::kGauge,
                                "Verdict of the probe: 0 ok, 1 warn, 2 crit, 3 unknown."};
constexpr MetricDesc kUptime = {"fleet_probe_uptime_ratio", MetricType::kGauge,
                                "Share of the last 30 days without a downtime, from 0 to 1."};
constexpr MetricDesc kVantages = {"fleet_probe_vantages", MetricType::kGauge,
                                  "Vantages that can look at the probe."};
constexpr MetricDesc kAll[] = {kDown,     kDowntimes, kFailing, kFollows, kLastLook,
                               kReported, kStatus,    kUptime,  kVantages};

/// What all series of a probe end with: its labels, and the brace.
std::shared_ptr<const HostFacts> FactsOf(const ProbeCheck& check, const std::string& job,
                                         absl::string_view vantage, probe::IpFamily family) {
  auto facts = std::make_shared<HostFacts>();
  facts->name = check.name;
  std::vector<Label> labels = {{"alias", check.alias.empty() ? check.name : check.alias},
                               {"check", check.token},
                               {"instance", check.url.empty() ? check.name : check.url},
                               {"job", job},
                               {"module", check.module}};
  if (!vantage.empty()) labels.push_back({"vantage", vantage});
  if (family == probe::IpFamily::kIpv4) labels.push_back({"family", "ipv4"});
  if (family == probe::IpFamily::kIpv6) labels.push_back({"family", "ipv6"});
  AppendLabels(labels, facts->tail);
  facts->tail += "} ";
  facts->our_tail = facts->tail;
  return facts;
}

ExtraSeries Publish(const SampleSet& samples, std::shared_ptr<const HostFacts> facts,
                    FleetState& state) {
  std::vector<Layout::Series> series;
  std::string text;
  series.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const absl::string_view labels = samples.labels(i);
    series.push_back({samples.series()[i].family, static_cast<uint32_t>(text.size()),
                      static_cast<uint32_t>(labels.size())});
    absl::StrAppend(&text, labels);
  }
  const absl::Span<const Layout::Family> families = samples.families();
  std::shared_ptr<const Layout> layout = state.layouts().Intern(
      Layout({families.begin(), families.end()}, std::move(series), std::move(text)));
  std::shared_ptr<double[]> block(new double[samples.size() + 1]);
  std::copy(samples.values().begin(), samples.values().end(), block.get());
  return {state.families().Publish(std::move(layout)), std::move(block), std::move(facts)};
}

SampleSet OwnSamples(const ProbeBook::Sampled& probe, absl::Time now) {
  const ProbeStatus& status = probe.view.status;
  SampleSet samples;
  samples.Add(kDown, {}, status.down ? 1 : 0);
  samples.Add(kDowntimes, {}, static_cast<double>(probe.downtimes));
  samples.Add(kFailing, {}, status.failing_vantages);
  if (!status.caused_by.empty()) samples.Add(kFollows, {{"cause", status.caused_by}}, 1);
  if (status.last_check_at != absl::InfinitePast()) {
    samples.Add(kLastLook, {}, absl::ToDoubleSeconds(status.last_check_at - absl::UnixEpoch()));
  }
  for (const auto& [name, value] : status.reported) {
    samples.Add(kReported, {{"header", name}, {"value", value}}, 1);
  }
  samples.Add(kStatus, {}, static_cast<double>(JudgeProbe(probe.view, now).verdict));
  samples.Add(kUptime, {}, status.uptime / 100);
  samples.Add(kVantages, {}, status.vantages);
  return samples;
}

}  // namespace

absl::Span<const MetricDesc> ProbeMetricDescs() { return kAll; }

std::vector<ExtraSeries> MakeProbeSeries(const std::vector<ProbeBook::Sampled>& probes,
                                         FleetState& state, absl::Time now) {
  const std::string& job = state.options().job;
  std::vector<ExtraSeries> all;
  for (const ProbeBook::Sampled& probe : probes) {
    const ProbeCheck& check = *probe.view.check;
    if (!check.enabled) continue;
    all.push_back(
        Publish(OwnSamples(probe, now), FactsOf(check, job, "", probe::IpFamily::kAny), state));
    for (const ProbeBook::Seen& seen : probe.seen) {
      if (seen.samples.size() == 0) continue;
      all.push_back(Publish(seen.samples, FactsOf(check, job, seen.vantage, seen.family), state));
    }
  }
  return all;
}

}  // namespace fleet::collector
