#include "fleetctl/probe_view.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/units.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

using Json = nlohmann::ordered_json;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

/// As programs read it: null where there is none.
Json TimeJson(double seconds) {
  if (seconds <= 0) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", At(seconds), absl::UTCTimeZone());
}

std::string TimeText(double seconds) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", At(seconds), absl::LocalTimeZone());
}

std::string Percent(double percent) { return absl::StrFormat("%.3f%%", percent); }

std::string Ago(double seconds) {
  return seconds < 0 ? "never" : absl::StrCat(HumanDuration(absl::Seconds(seconds)), " ago");
}

/// "502 (caused by tempo)".
std::string Reason(const v1::ProbeState& probe) {
  std::string reason = probe.reason();
  if (!probe.caused_by().empty()) absl::StrAppend(&reason, " (caused by ", probe.caused_by(), ")");
  if (probe.muted()) absl::StrAppend(&reason, reason.empty() ? "muted" : "; muted");
  return reason;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

constexpr size_t kLabelColumns = 14;

void AppendField(absl::string_view label, absl::string_view text, size_t width, std::string& out) {
  if (text.empty()) return;
  const std::string wrapped = Wrap(text, width, std::string(kLabelColumns, ' '));
  absl::StrAppend(&out, Fit(label, kLabelColumns), wrapped.substr(kLabelColumns));
}

}  // namespace

std::string RenderProbes(const v1::ProbesReply& reply, const ViewOptions& options) {
  if (reply.probes().empty()) {
    return "no probes; name some in collector.yaml, such as probes: [{url: \"https://…\"}]\n";
  }
  Table table({"PROBE", "TOKEN", "VERDICT", "UPTIME", "LOOKED", "VANTAGES", "REASON"});
  for (const v1::ProbeState& probe : reply.probes()) {
    const std::string vantages =
        probe.failing_vantages() == 0
            ? absl::StrCat(probe.vantages())
            : absl::StrCat(probe.failing_vantages(), "/", probe.vantages(), " fail");
    table.Add({probe.name(), probe.token(), VerdictText(probe.verdict(), probe.unknown()),
               Percent(probe.uptime_percent()), Ago(probe.last_look_age_seconds()), vantages,
               Reason(probe)},
              probe.verdict(), 2);
  }
  return table.Render(options.table_width(), options.color);
}

std::string RenderProbesJson(const v1::ProbesReply& reply) {
  Json probes = Json::array();
  for (const v1::ProbeState& probe : reply.probes()) {
    Json object = {{"name", probe.name()},
                   {"token", probe.token()},
                   {"verdict", VerdictText(probe.verdict(), {})},
                   {"down", probe.down()},
                   {"uptimePercent", probe.uptime_percent()},
                   {"reason", probe.reason()},
                   {"causedBy", probe.caused_by()},
                   {"url", probe.url()},
                   {"type", probe.type()},
                   {"periodSeconds", probe.period_seconds()},
                   {"enabled", probe.enabled()},
                   {"muted", probe.muted()},
                   {"fromConfig", probe.from_config()},
                   {"vantages", probe.vantages()},
                   {"failingVantages", probe.failing_vantages()},
                   {"downSince", TimeJson(probe.down_since_seconds())},
                   {"upSince", TimeJson(probe.up_since_seconds())},
                   {"certificateEnds", TimeJson(probe.certificate_end_seconds())}};
    object["ageSeconds"] =
        probe.last_look_age_seconds() < 0 ? Json(nullptr) : Json(probe.last_look_age_seconds());
    object["lastStatus"] = probe.last_status() == 0 ? Json(nullptr) : Json(probe.last_status());
    object["reported"] = Json::object();
    for (const auto& [name, value] :
         std::map<std::string, std::string>(probe.reported().begin(), probe.reported().end())) {
      object["reported"][name] = value;
    }
    probes.push_back(std::move(object));
  }
  return Dump({{"probes", std::move(probes)}});
}

std::string RenderDowntimes(const v1::DowntimesReply& reply, const ViewOptions& options) {
  if (reply.downtimes().empty()) return "no downtimes\n";
  Table table({"STARTED", "LASTED", "PROBE", "ERROR"});
  for (const v1::DowntimeRecord& downtime : reply.downtimes()) {
    const bool open = downtime.ended_seconds() <= 0;
    const double until = open ? reply.now_seconds() : downtime.ended_seconds();
    const std::string lasted =
        HumanDuration(absl::Seconds(std::max(0.0, until - downtime.started_seconds())));
    std::string error = downtime.error();
    if (downtime.partial()) absl::StrAppend(&error, " (one address family only)");
    if (!downtime.caused_by().empty()) {
      absl::StrAppend(&error, " (caused by ", downtime.caused_by(), ")");
    }
    table.Add({TimeText(downtime.started_seconds()),
               absl::StrCat(lasted, open ? ", still down" : ""), downtime.probe(), error},
              open ? v1::VERDICT_CRIT : v1::VERDICT_OK, open ? 1 : -1);
  }
  return table.Render(options.table_width(), options.color);
}

std::string RenderDowntimesJson(const v1::DowntimesReply& reply) {
  Json downtimes = Json::array();
  for (const v1::DowntimeRecord& downtime : reply.downtimes()) {
    const bool open = downtime.ended_seconds() <= 0;
    Json object = {{"id", downtime.id()},
                   {"probe", downtime.probe()},
                   {"token", downtime.token()},
                   {"error", downtime.error()},
                   {"startedAt", TimeJson(downtime.started_seconds())},
                   {"endedAt", TimeJson(downtime.ended_seconds())}};
    object["durationSeconds"] =
        open ? Json(nullptr)
             : Json(std::llround(downtime.ended_seconds() - downtime.started_seconds()));
    object["partial"] = open ? Json(nullptr) : Json(downtime.partial());
    object["causedBy"] = downtime.caused_by();
    downtimes.push_back(std::move(object));
  }
  return Dump({{"downtimes", std::move(downtimes)}});
}

std::string RenderProbe(const v1::ProbeState& probe, const ViewOptions& options) {
  std::string out = absl::StrCat(
      "probe ", probe.name(), ": ",
      Paint(VerdictText(probe.verdict(), probe.unknown()), probe.verdict(), options.color), "\n\n");
  const size_t width = options.width;
  AppendField("reason", probe.reason(), width, out);
  AppendField("follows from", probe.caused_by(), width, out);
  AppendField("looks at", probe.url().empty() ? probe.type() : probe.url(), width, out);
  if (probe.down()) {
    AppendField("down since", TimeText(probe.down_since_seconds()), width, out);
  } else if (probe.up_since_seconds() > 0) {
    AppendField("up since", TimeText(probe.up_since_seconds()), width, out);
  }
  AppendField(
      "looked",
      absl::StrCat(
          Ago(probe.last_look_age_seconds()), ", every ",
          HumanDuration(absl::Seconds(probe.period_seconds())),
          probe.last_status() > 0 ? absl::StrCat("; the answer was ", probe.last_status()) : ""),
      width, out);
  AppendField("vantages",
              absl::StrCat(probe.failing_vantages(), " of ", probe.vantages(), " see it fail"),
              width, out);
  AppendField("uptime", absl::StrCat(Percent(probe.uptime_percent()), " of the last 30 days"),
              width, out);
  if (probe.certificate_end_seconds() > 0) {
    AppendField("certificate", absl::StrCat("ends ", TimeText(probe.certificate_end_seconds())),
                width, out);
  }
  for (const auto& [name, value] :
       std::map<std::string, std::string>(probe.reported().begin(), probe.reported().end())) {
    AppendField(name, value, width, out);
  }
  AppendField("notice", probe.notice(), width, out);
  if (probe.muted()) AppendField("muted", "nobody is told of what happens", width, out);
  if (!probe.caused_by().empty()) {
    absl::StrAppend(
        &out, "\n",
        Wrap(absl::StrCat("Look at the cause first: fleetctl explain ", probe.caused_by()), width,
             ""));
  }
  return out;
}

}  // namespace fleet::ctl
