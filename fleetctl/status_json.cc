#include <nlohmann/json.hpp>

#include "fleetctl/status_view.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

using Json = nlohmann::ordered_json;

std::string Word(v1::Verdict verdict) { return VerdictText(verdict, v1::UNKNOWN_KIND_NONE); }

/// "stuck", "blind", "error": only where there is one.
void AddKind(v1::UnknownKind kind, Json& object) {
  if (kind == v1::UNKNOWN_KIND_STUCK) object["unknown"] = "stuck";
  if (kind == v1::UNKNOWN_KIND_BLIND) object["unknown"] = "blind";
  if (kind == v1::UNKNOWN_KIND_ERROR) object["unknown"] = "error";
}

Json CheckJson(const v1::CheckStatus& check) {
  Json object = {{"name", check.name()},
                 {"verdict", Word(check.verdict())},
                 {"reason", check.reason()},
                 {"ageSeconds", check.age_seconds()},
                 {"causedBy", check.caused_by()}};
  AddKind(check.unknown(), object);
  object["items"] = Json::array();
  for (const v1::ItemStatus& item : check.items()) {
    Json entry = {
        {"name", item.name()}, {"verdict", Word(item.verdict())}, {"reason", item.reason()}};
    AddKind(item.unknown(), entry);
    if (!item.caused_by().empty()) entry["causedBy"] = item.caused_by();
    object["items"].push_back(std::move(entry));
  }
  return object;
}

Json ProbeJson(const v1::ProbeState& probe) {
  Json object = {{"name", probe.name()},
                 {"token", probe.token()},
                 {"verdict", Word(probe.verdict())},
                 {"down", probe.down()},
                 {"uptimePercent", probe.uptime_percent()},
                 {"reason", probe.reason()}};
  if (!probe.caused_by().empty()) object["causedBy"] = probe.caused_by();
  AddKind(probe.unknown(), object);
  return object;
}

}  // namespace

std::string RenderStatusJson(const v1::StatusReply& reply) {
  Json hosts = Json::array();
  for (const v1::HostStatus& host : reply.hosts()) {
    Json object = {{"name", host.name()}, {"verdict", Word(host.verdict())}, {"up", host.up()}};
    object["ageSeconds"] = host.age_seconds() < 0 ? Json(nullptr) : Json(host.age_seconds());
    object["spoolReports"] = host.spool_reports();
    object["absent"] = Json::array();
    for (const std::string& name : host.absent()) object["absent"].push_back(name);
    if (!host.caused_by().empty()) object["causedBy"] = host.caused_by();
    object["checks"] = Json::array();
    for (const v1::CheckStatus& check : host.checks()) object["checks"].push_back(CheckJson(check));
    hosts.push_back(std::move(object));
  }
  Json probes = Json::array();
  for (const v1::ProbeState& probe : reply.probes()) probes.push_back(ProbeJson(probe));
  const Json whole = {{"verdict", Word(reply.verdict())},
                      {"hosts", std::move(hosts)},
                      {"probes", std::move(probes)}};
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace fleet::ctl
