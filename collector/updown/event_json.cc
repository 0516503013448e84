#include "collector/updown/event_json.h"

#include <cmath>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "collector/updown/check_json.h"
#include "collector/updown/json_text.h"
#include "collector/updown/time_text.h"

namespace fleet::collector {
namespace {

constexpr absl::string_view kKinds[] = {
    "check.down",           "check.up",          "check.ssl_invalid",     "check.ssl_valid",
    "check.ssl_expiration", "check.ssl_renewed", "check.performance_drop"};

/// What the check is called in a sentence.
std::string Subject(const ProbeEvent& event) {
  if (event.view.check == nullptr) return event.token;
  const ProbeCheck& check = *event.view.check;
  if (!check.url.empty()) return check.url;
  return check.alias.empty() ? check.name : check.alias;
}

/// The host of its URL: whose certificate it is.
std::string HostOf(const ProbeEvent& event) {
  const std::string subject = Subject(event);
  absl::string_view host = subject;
  const size_t scheme = host.find("://");
  if (scheme != absl::string_view::npos) host.remove_prefix(scheme + 3);
  return std::string(host.substr(0, host.find_first_of("/?#")));
}

std::string Clock(absl::Time time) {
  return absl::FormatTime("%H:%M:%S (UTC)", time, absl::UTCTimeZone());
}

std::string Counted(int64_t count, absl::string_view noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

/// "10 minutes": as long as a person would say it was.
std::string Roughly(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 90) return Counted(seconds, "second");
  if (seconds < int64_t{90} * 60) return Counted((seconds + 30) / 60, "minute");
  if (seconds < int64_t{36} * 3600) return Counted((seconds + 1800) / 3600, "hour");
  return Counted((seconds + 43200) / 86400, "day");
}

void AppendCertificate(const char* key, const probe::ServerCertificate& certificate,
                       JsonText& json) {
  json.Key(key).BeginObject().Key("subject").Text(certificate.subject);
  json.Key("issuer").Text(
      certificate.issuer_organization.empty()
          ? certificate.issuer
          : absl::StrCat(certificate.issuer, " (", certificate.issuer_organization, ")"));
  json.Key("from").Text(FormatApiTime(certificate.not_before));
  json.Key("to").Text(FormatApiTime(certificate.not_after));
  json.Key("algorithm").Text(certificate.algorithm).EndObject();
}

void AppendTls(const ProbeEvent& event, JsonText& json) {
  json.Key("ssl").BeginObject();
  const bool renewed = event.kind == "check.ssl_renewed";
  if (event.certificate.has_value()) {
    AppendCertificate(renewed ? "new_cert" : "cert", *event.certificate, json);
  }
  if (renewed && event.old_certificate.has_value()) {
    AppendCertificate("old_cert", *event.old_certificate, json);
  }
  if (event.kind == "check.ssl_invalid") json.Key("error").Text(event.ssl_error);
  if (event.kind == "check.ssl_expiration") {
    json.Key("days_before_expiration").Int(event.days_before_expiration);
  }
  json.EndObject();
}

void AppendDrop(const ProbeEvent& event, JsonText& json) {
  json.Key("apdex_dropped").Text(absl::StrCat(event.apdex_dropped_percent, "%"));
  json.Key("last_metrics").BeginObject();
  for (const auto& [hour, apdex] : event.apdex_by_hour) {
    json.Key(FormatApiTime(hour)).BeginObject().Key("apdex").Number(apdex).EndObject();
  }
  json.EndObject();
}

/// The check as it stood when it happened: what it became since must not contradict the event.
ProbeView ViewThen(const ProbeEvent& event) {
  ProbeView view = event.view;
  if (!event.downtime.has_value()) return view;
  if (event.kind == "check.down") {
    view.status.down = true;
    view.status.down_since = event.downtime->started_at;
    view.status.error = event.downtime->error;
  } else if (event.kind == "check.up") {
    view.status.down = false;
    view.status.up_since = event.downtime->ended_at.value_or(event.time);
    view.status.error.clear();
  }
  return view;
}

}  // namespace

bool IsWebhookEvent(absl::string_view kind) { return absl::c_linear_search(kKinds, kind); }

std::string EventText(const ProbeEvent& event) {
  const absl::string_view kind = event.kind;
  const std::string certificate = absl::StrCat("The SSL certificate served by ", HostOf(event));
  if (kind == "check.down" && event.downtime.has_value()) {
    return absl::StrCat("DOWN: ", Subject(event), " since ", Clock(event.downtime->started_at),
                        ", reason: ", event.downtime->error);
  }
  if (kind == "check.up" && event.downtime.has_value()) {
    const absl::Time end = event.downtime->ended_at.value_or(event.time);
    return absl::StrCat("UP: ", Subject(event), " since ", Clock(end), ", after being down for ",
                        Roughly(end - event.downtime->started_at),
                        ", reason: ", event.downtime->error);
  }
  if (kind == "check.ssl_invalid") {
    return absl::StrCat(certificate, " is not valid (", event.ssl_error, ")");
  }
  if (kind == "check.ssl_valid") return absl::StrCat(certificate, " is now valid");
  if (kind == "check.ssl_expiration") {
    return absl::StrCat(certificate, " will expire in ",
                        Counted(event.days_before_expiration, "day"));
  }
  if (kind == "check.ssl_renewed") return absl::StrCat(certificate, " was renewed");
  if (kind == "check.performance_drop") {
    return absl::StrCat("Apdex of ", Subject(event), " dropped ", event.apdex_dropped_percent, "%");
  }
  return absl::StrCat(Subject(event), ": ", absl::StripPrefix(kind, "check."));
}

std::string WebhookBody(const ProbeEvent& event, const std::string& base_url) {
  JsonText json;
  json.BeginArray().BeginObject();
  json.Key("event").Text(event.kind).Key("time").Text(FormatApiTime(event.time));
  json.Key("description").Text(EventText(event)).Key("check");
  if (event.view.check != nullptr) {
    AppendCheck(ViewThen(event), {base_url}, json);
  } else {
    json.BeginObject().Key("token").Text(event.token).EndObject();
  }
  if (event.downtime.has_value()) {
    json.Key("downtime");
    AppendDowntime(*event.downtime, base_url, false, json);
  }
  if (absl::StartsWith(event.kind, "check.ssl_")) AppendTls(event, json);
  if (event.kind == "check.performance_drop") AppendDrop(event, json);
  json.EndObject().EndArray();
  return json.Take();
}

std::string ChatBody(const ProbeEvent& event) {
  JsonText json;
  json.BeginObject().Key("text").Text(EventText(event)).EndObject();
  return json.Take();
}

}  // namespace fleet::collector
