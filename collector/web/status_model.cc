#include "collector/web/status_model.h"

#include <algorithm>
#include <cmath>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/web/html.h"

namespace fleet::collector {
namespace {

/// Announcements that are over stay on the page so long.
constexpr absl::Duration kAnnouncementsShownFor = absl::Hours(24 * 30);
/// And no more of them than so many; what is not over is always shown.
constexpr size_t kAnnouncementsMax = 50;

/// Below it a component is slow, as on the status pages that read the updown API.
constexpr double kSlowApdex = 0.8;

/// "recovery" hides nothing: it only keeps alarms quiet.
bool InMaintenance(const ProbeCheck& check, absl::Time now) {
  if (check.mute_until.empty() || check.mute_until == "recovery") return false;
  if (check.mute_until == "forever") return true;
  absl::Time until;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, check.mute_until, &until, &error) && until > now;
}

std::string NameOf(const ProbeCheck& check) {
  for (const std::string* name : {&check.component, &check.alias, &check.name}) {
    if (!name->empty()) return *name;
  }
  return check.url;
}

bool Published(const ProbeView& view) {
  // What is expected to be down is no component of anything.
  return view.check->published && view.check->notice.empty();
}

/// An hour with an outage in it has a low apdex although every answer was quick: that is told as a
/// downtime, not once more as slowness.
bool AnswersAreQuick(ProbeMetrics hour, double apdex_t) {
  hour.samples -= hour.failures;
  return hour.Apdex(apdex_t).value_or(0) >= kSlowApdex;
}

absl::Status AddHistory(Probes& probes, absl::Time now, double apdex_t, Component& component) {
  auto daily = probes.DailyUptime(component.token, StatusModel::kDays);
  if (!daily.ok()) return daily.status();
  component.daily = *std::move(daily);
  const absl::Time hour = absl::FromUnixSeconds(absl::ToUnixSeconds(now) / 3600 * 3600);
  const absl::Time from = hour - absl::Hours(StatusModel::kHours - 1);
  const auto metrics = probes.Metrics(component.token, from, now, MetricsGroup::kTime);
  if (!metrics.ok()) return metrics.status();
  ProbeMetrics sum;
  for (int i = 0; i < StatusModel::kHours; ++i) {
    const auto found = metrics->find(IsoTime(from + absl::Hours(i)));
    std::optional<double> mean;
    if (found != metrics->end()) {
      sum.Add(found->second);
      const int64_t successes = found->second.samples - found->second.failures;
      if (successes > 0) mean = found->second.response / static_cast<double>(successes);
    }
    component.response_millis.push_back(mean);
  }
  component.apdex = sum.Apdex(apdex_t);
  const auto newest = metrics->find(IsoTime(hour));
  if (component.state == ComponentState::kDegraded && newest != metrics->end() &&
      AnswersAreQuick(newest->second, apdex_t)) {
    component.state = ComponentState::kOperational;
  }
  return absl::OkStatus();
}

absl::Status AddDowntimes(Probes& probes, absl::Time now, Component& component,
                          StatusModel& model) {
  const auto downtimes = probes.Downtimes(component.token, 0, StatusModel::kDowntimesMax + 1);
  if (!downtimes.ok()) return downtimes.status();
  for (const Downtime& downtime : *downtimes) {
    if (!downtime.ended_at.has_value()) {
      if (!component.downtime.has_value()) component.downtime = downtime;
    } else if (now - *downtime.ended_at < absl::Hours(24 * StatusModel::kDays)) {
      model.past.push_back({downtime, component.name});
    }
  }
  return absl::OkStatus();
}

/// A downtime of one address family is a partial outage, as soon as that is known.
void Refine(Component& component) {
  if (component.state != ComponentState::kDown || !component.downtime.has_value()) return;
  if (component.downtime->partial.value_or(false)) component.state = ComponentState::kPartial;
  if (component.caused_by.empty()) component.caused_by = component.downtime->caused_by;
}

void AddProbe(Probes& probes, const ProbeView& view, StatusModel& model) {
  Component component = ToComponent(view, model.generated_at);
  absl::Status status = AddHistory(probes, model.generated_at, view.check->apdex_t, component);
  if (status.ok()) status = AddDowntimes(probes, model.generated_at, component, model);
  if (!status.ok()) model.problem = "a part of the history could not be read";
  component.daily.resize(StatusModel::kDays);
  component.response_millis.resize(StatusModel::kHours);
  Refine(component);
  model.components.push_back(std::move(component));
}

}  // namespace

absl::string_view ComponentStateText(ComponentState state) {
  switch (state) {
    case ComponentState::kOperational:
      return "operational";
    case ComponentState::kDegraded:
      return "slow";
    case ComponentState::kMaintenance:
      return "under maintenance";
    case ComponentState::kUnknown:
      return "not known";
    case ComponentState::kPartial:
      return "partial outage";
    case ComponentState::kDown:
      return "down";
  }
  return "";
}

absl::string_view ToneOf(ComponentState state) {
  switch (state) {
    case ComponentState::kOperational:
      return "ok";
    case ComponentState::kDegraded:
    case ComponentState::kMaintenance:
    case ComponentState::kPartial:
      return "warn";
    case ComponentState::kUnknown:
      return "none";
    case ComponentState::kDown:
      return "bad";
  }
  return "";
}

std::optional<double> UptimeOf(const Component& component) {
  double sum = 0;
  int days = 0;
  for (const std::optional<double>& day : component.daily) {
    if (!day.has_value()) continue;
    sum += *day;
    ++days;
  }
  if (days == 0) return std::nullopt;
  return sum / days;
}

std::string PercentText(double percent) {
  if (percent >= 100) return "100 %";
  return absl::StrFormat("%.2f %%", std::floor(percent * 100) / 100);
}

Component ToComponent(const ProbeView& view, absl::Time now) {
  const ProbeCheck& check = *view.check;
  const ProbeStatus& status = view.status;
  Component component;
  component.token = check.token;
  component.name = NameOf(check);
  component.created_at = check.created_at;
  component.caused_by = status.caused_by;
  if (!check.enabled) {
    component.reason = "it is not being looked at";
  } else if (status.down) {
    const bool some = status.failing_vantages > 0 && status.failing_vantages < status.vantages;
    component.state = InMaintenance(check, now) ? ComponentState::kMaintenance
                      : some                    ? ComponentState::kPartial
                                                : ComponentState::kDown;
    component.reason = status.error;
    component.since = status.down_since;
  } else if (status.blind) {
    component.reason = "nobody can look at it";
  } else if (status.pending) {
    component.reason = "nobody has looked at it yet";
  } else if (InMaintenance(check, now)) {
    component.state = ComponentState::kMaintenance;
  } else {
    component.state = status.slow ? ComponentState::kDegraded : ComponentState::kOperational;
  }
  return component;
}

Overall OverallOf(const StatusModel& model) {
  const auto count = [&](ComponentState state) {
    return static_cast<size_t>(absl::c_count_if(
        model.components, [state](const Component& c) { return c.state == state; }));
  };
  const size_t all = model.components.size();
  const size_t down = count(ComponentState::kDown);
  const size_t unknown = count(ComponentState::kUnknown);
  if (all == 0) return {"none", "none", "Nothing is monitored here yet"};
  if (down > 0 && down * 2 >= all) return {"critical", "bad", "Major outage"};
  if (down > 0) return {"major", "bad", "Partial outage"};
  if (count(ComponentState::kPartial) > 0) return {"minor", "warn", "Partial outage"};
  if (unknown == all) return {"minor", "none", "Nothing could be checked"};
  if (unknown > 0) return {"minor", "none", "Not everything could be checked"};
  if (count(ComponentState::kDegraded) > 0) return {"minor", "warn", "Some systems are slow"};
  for (const Announcement& announcement : model.announcements) {
    if (announcement.state() < AnnouncementState::kMonitoring) {
      return {"minor", "warn", "A problem is being looked into"};
    }
  }
  if (count(ComponentState::kMaintenance) > 0) return {"minor", "warn", "Under maintenance"};
  return {"none", "ok", "All systems operational"};
}

StatusModel CollectStatus(const StatusPageOptions& page, Probes* probes,
                          absl::Span<const Announcement> announcements, absl::Time now,
                          absl::Duration valid_for) {
  StatusModel model;
  model.page = page;
  model.generated_at = now;
  model.valid_until = now + valid_for;
  for (const Announcement& announcement : announcements) {
    if (announcement.resolved() && (now - announcement.updated() > kAnnouncementsShownFor ||
                                    model.announcements.size() >= kAnnouncementsMax)) {
      continue;
    }
    model.announcements.push_back(announcement);
  }
  if (probes == nullptr) return model;
  for (const ProbeView& view : probes->List()) {
    if (!Published(view)) continue;
    if (model.components.size() >= StatusModel::kComponentsMax) {
      ++model.components_left_out;
    } else {
      AddProbe(*probes, view, model);
    }
  }
  std::stable_sort(model.past.begin(), model.past.end(),
                   [](const ShownDowntime& a, const ShownDowntime& b) {
                     return a.downtime.started_at > b.downtime.started_at;
                   });
  if (model.past.size() > StatusModel::kDowntimesMax) {
    model.past_left_out = model.past.size() - StatusModel::kDowntimesMax;
    model.past.resize(StatusModel::kDowntimesMax);
  }
  return model;
}

}  // namespace fleet::collector
