#include "collector/web/statuspage_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "collector/web/markdown.h"

namespace fleet::collector {
namespace {

// In the order in which Statuspage's own replies have their fields.
using Json = nlohmann::ordered_json;

std::string Time(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

/// An identifier made of the title: "chitterxyz".
std::string PageId(const StatusModel& model) {
  std::string id;
  for (const char c : model.page.title) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      id += absl::ascii_tolower(static_cast<unsigned char>(c));
    }
  }
  return id.empty() ? "fleet" : id;
}

std::string Link(const StatusModel& model, absl::string_view anchor) {
  return model.page.url.empty() ? "" : absl::StrCat(model.page.url, "#", anchor);
}

Json Page(const StatusModel& model) {
  return {{"id", PageId(model)},
          {"name", model.page.title},
          {"url", model.page.url},
          {"time_zone", model.page.zone.name() == "UTC" ? "Etc/UTC" : model.page.zone.name()},
          {"updated_at", Time(model.generated_at)},
          {"valid_until", Time(model.valid_until)}};
}

Json Status(const StatusModel& model) {
  const Overall overall = OverallOf(model);
  return {{"indicator", std::string(overall.indicator)}, {"description", overall.text}};
}

/// Statuspage has no word for what nobody could look at; good is what it must not be.
const char* StateName(ComponentState state) {
  switch (state) {
    case ComponentState::kOperational:
      return "operational";
    case ComponentState::kMaintenance:
      return "under_maintenance";
    case ComponentState::kPartial:
      return "partial_outage";
    case ComponentState::kDown:
      return "major_outage";
    case ComponentState::kDegraded:
    case ComponentState::kUnknown:
      break;
  }
  return "degraded_performance";
}

Json ToJson(const Component& component, size_t position, const StatusModel& model) {
  Json json = {{"id", component.token},
               {"name", component.name},
               {"status", StateName(component.state)},
               {"created_at", Time(component.created_at)},
               {"updated_at", Time(model.generated_at)},
               {"position", position},
               {"description", nullptr},
               {"showcase", true},
               {"start_date", nullptr},
               {"group_id", nullptr},
               {"page_id", PageId(model)},
               {"group", false},
               {"only_show_if_degraded", false}};
  if (component.state == ComponentState::kUnknown) {
    json["description"] = absl::StrCat("not known: ", component.reason);
  }
  return json;
}

Json Components(const StatusModel& model) {
  Json all = Json::array();
  for (size_t i = 0; i < model.components.size(); ++i) {
    all.push_back(ToJson(model.components[i], i + 1, model));
  }
  return all;
}

Json ComponentOf(absl::string_view token, const StatusModel& model) {
  Json found = Json::array();
  for (size_t i = 0; i < model.components.size(); ++i) {
    if (model.components[i].token == token) {
      found.push_back(ToJson(model.components[i], i + 1, model));
    }
  }
  return found;
}

Json Update(absl::string_view id, absl::string_view status, absl::string_view body, absl::Time time,
            absl::string_view incident) {
  return {{"id", std::string(id)},     {"status", std::string(status)},
          {"body", std::string(body)}, {"incident_id", std::string(incident)},
          {"created_at", Time(time)},  {"updated_at", Time(time)},
          {"display_at", Time(time)}};
}

struct Incident {
  absl::Time started;
  bool resolved = false;
  Json json;
};

Json Frame(absl::string_view id, absl::string_view name, absl::string_view status,
           absl::string_view impact) {
  Json json;
  json["id"] = std::string(id);
  json["name"] = std::string(name);
  json["status"] = std::string(status);
  json["impact"] = std::string(impact);
  return json;
}

Incident ToIncident(const Announcement& announcement, const StatusModel& model) {
  Incident incident{announcement.created(), announcement.resolved(), {}};
  incident.json = Frame(announcement.id, announcement.Title(),
                        AnnouncementStateName(announcement.state()), "minor");
  incident.json["created_at"] = Time(announcement.created());
  incident.json["updated_at"] = Time(announcement.updated());
  incident.json["monitoring_at"] = nullptr;
  incident.json["resolved_at"] =
      announcement.resolved() ? Json(Time(announcement.updated())) : Json(nullptr);
  incident.json["started_at"] = Time(announcement.created());
  incident.json["shortlink"] = Link(model, absl::StrCat("a-", announcement.id));
  incident.json["page_id"] = PageId(model);
  Json updates = Json::array();
  for (size_t i = announcement.updates.size(); i-- > 0;) {
    const AnnouncementUpdate& update = announcement.updates[i];
    if (update.state == AnnouncementState::kMonitoring) {
      incident.json["monitoring_at"] = Time(update.time);
    }
    updates.push_back(Update(absl::StrCat(announcement.id, "-", i + 1),
                             AnnouncementStateName(update.state), MarkdownToText(update.text),
                             update.time, announcement.id));
  }
  incident.json["incident_updates"] = std::move(updates);
  incident.json["components"] = Json::array();
  return incident;
}

Incident ToIncident(const Downtime& downtime, const std::string& name, bool partial,
                    const StatusModel& model) {
  const bool over = downtime.ended_at.has_value();
  Incident incident{downtime.started_at, over, {}};
  incident.json = Frame(downtime.id, absl::StrCat(name, partial ? " partly down" : " down"),
                        over ? "resolved" : "investigating", partial ? "minor" : "major");
  incident.json["created_at"] = Time(downtime.started_at);
  incident.json["updated_at"] = Time(downtime.ended_at.value_or(downtime.started_at));
  incident.json["monitoring_at"] = nullptr;
  incident.json["resolved_at"] = over ? Json(Time(*downtime.ended_at)) : Json(nullptr);
  incident.json["started_at"] = Time(downtime.started_at);
  incident.json["shortlink"] = Link(model, absl::StrCat("c-", downtime.token));
  incident.json["page_id"] = PageId(model);
  Json updates = Json::array();
  if (over) {
    updates.push_back(Update(absl::StrCat(downtime.id, "-2"), "resolved", "It is up again.",
                             *downtime.ended_at, downtime.id));
  }
  const std::string why = downtime.caused_by.empty()
                              ? downtime.error
                              : absl::StrCat(downtime.error, "; cause: ", downtime.caused_by);
  updates.push_back(Update(absl::StrCat(downtime.id, "-1"), "investigating", why,
                           downtime.started_at, downtime.id));
  incident.json["incident_updates"] = std::move(updates);
  incident.json["components"] = ComponentOf(downtime.token, model);
  return incident;
}

Json Incidents(const StatusModel& model, bool unresolved_only) {
  std::vector<Incident> all;
  for (const Component& component : model.components) {
    if (!component.downtime.has_value()) continue;
    all.push_back(ToIncident(*component.downtime, component.name,
                             component.state == ComponentState::kPartial, model));
  }
  for (const ShownDowntime& shown : model.past) {
    all.push_back(
        ToIncident(shown.downtime, shown.name, shown.downtime.partial.value_or(false), model));
  }
  for (const Announcement& announcement : model.announcements) {
    all.push_back(ToIncident(announcement, model));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Incident& a, const Incident& b) { return a.started > b.started; });
  Json found = Json::array();
  for (Incident& incident : all) {
    if (!unresolved_only || !incident.resolved) found.push_back(std::move(incident.json));
  }
  return found;
}

/// Errors of others may be no UTF-8: a replaced byte is better than an exception.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string StatusJson(const StatusModel& model) {
  return Dump({{"page", Page(model)}, {"status", Status(model)}});
}

std::string SummaryJson(const StatusModel& model) {
  return Dump({{"page", Page(model)},
               {"status", Status(model)},
               {"components", Components(model)},
               {"incidents", Incidents(model, true)},
               {"scheduled_maintenances", Json::array()}});
}

std::string ComponentsJson(const StatusModel& model) {
  return Dump({{"page", Page(model)}, {"components", Components(model)}});
}

std::string IncidentsJson(const StatusModel& model, bool unresolved_only) {
  return Dump({{"page", Page(model)}, {"incidents", Incidents(model, unresolved_only)}});
}

std::string MaintenancesJson(const StatusModel& model) {
  return Dump({{"page", Page(model)}, {"scheduled_maintenances", Json::array()}});
}

}  // namespace fleet::collector
