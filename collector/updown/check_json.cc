#include "collector/updown/check_json.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/updown/time_text.h"

namespace fleet::collector {
namespace {

/// How updown names the edges of its histogram, in milliseconds but for the first.
constexpr absl::string_view kUnder[] = {"under125",  "under250",   "under500",
                                        "under1000", "under2000",  "under4000",
                                        "under8000", "under16000", "under32000"};
static_assert(std::size(kUnder) == kResponseEdges.size());

void AppendTime(absl::Time time, JsonText& json) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) {
    json.Null();
  } else {
    json.Text(FormatApiTime(time));
  }
}

void AppendTexts(const std::vector<std::string>& texts, JsonText& json) {
  json.BeginArray();
  for (const std::string& text : texts) json.Text(text);
  json.EndArray();
}

std::string UrlOf(const ProbeCheck& check, const CheckShape& shape) {
  if (check.type != "pulse") return check.url;
  const std::string url = absl::StrCat(shape.base_url, "/pulse/", check.token);
  return shape.secret ? absl::StrCat(url, "/", check.pulse_key) : url;
}

double Rounded(double value, double scale) { return std::round(value * scale) / scale; }

void AppendTimings(const ProbeMetrics& metrics, JsonText& json) {
  const int64_t successes = metrics.samples - metrics.failures;
  const auto mean = [&](absl::string_view name, double sum) {
    const double value = successes > 0 ? sum / static_cast<double>(successes) : 0;
    json.Key(name).Int(std::llround(value));
  };
  json.Key("timings").BeginObject();
  mean("redirect", metrics.redirect);
  mean("namelookup", metrics.namelookup);
  mean("connection", metrics.connection);
  mean("handshake", metrics.handshake);
  mean("response", metrics.response);
  mean("total", metrics.total);
  json.EndObject();
}

/// What a check says of its last hour.
void AppendBrief(const ProbeMetrics& metrics, double apdex_t, JsonText& json) {
  json.BeginObject().Key("uptime").Number(Rounded(metrics.uptime, 1000));
  if (const std::optional<double> apdex = metrics.Apdex(apdex_t)) {
    json.Key("apdex").Number(*apdex);
    AppendTimings(metrics, json);
  }
  json.EndObject();
}

void AppendTls(const ProbeStatus& status, JsonText& json) {
  if (!status.tls.has_value()) return;
  const probe::TlsFacts& tls = *status.tls;
  json.Key("ssl").BeginObject().Key("tested_at");
  AppendTime(status.tls_tested_at, json);
  json.Key("expires_at");
  AppendTime(tls.certificate.not_after, json);
  json.Key("valid").Bool(tls.verify_error == 0);
  json.Key("error");
  if (tls.verify_error == 0) {
    json.Null();
  } else {
    json.Text(absl::StrCat("error code ", tls.verify_error, ": ", tls.verify_text));
  }
  json.EndObject();
}

bool IsIpv6(const Vantage& vantage) { return absl::StrContains(vantage.address, ':'); }

/// The vantage's name stands where updown has a city: it is what a person looks for.
void AppendPlace(const Vantage& vantage, JsonText& json) {
  json.Key("ip").Text(IsIpv6(vantage) ? "" : vantage.address);
  if (IsIpv6(vantage)) json.Key("ip6").Text(vantage.address);
  json.Key("city").Text(vantage.name).Key("country").Text("").Key("country_code").Text("");
}

}  // namespace

void AppendCheck(const ProbeView& view, const CheckShape& shape, JsonText& json) {
  const ProbeCheck& check = *view.check;
  const ProbeStatus& status = view.status;
  json.BeginObject();
  json.Key("token").Text(check.token).Key("url").Text(UrlOf(check, shape));
  json.Key("type").Text(check.type).Key("alias").TextOrNull(check.alias);
  json.Key("last_status");
  status.last_status.has_value() ? json.Int(*status.last_status) : json.Null();
  json.Key("uptime").Number(Rounded(status.uptime, 1000)).Key("down").Bool(status.down);
  json.Key("down_since");
  AppendTime(status.down ? status.down_since : absl::InfinitePast(), json);
  json.Key("up_since");
  AppendTime(status.down ? absl::InfinitePast() : status.up_since, json);
  json.Key("error").TextOrNull(status.error);
  json.Key("period").Int(absl::ToInt64Seconds(check.period));
  json.Key("apdex_t").Number(check.apdex_t).Key("string_match").Text(check.string_match);
  json.Key("enabled").Bool(check.enabled).Key("published").Bool(check.published);
  json.Key("disabled_locations");
  AppendTexts(check.disabled_locations, json);
  json.Key("recipients");
  AppendTexts(check.recipients, json);
  json.Key("last_check_at");
  AppendTime(status.last_check_at, json);
  json.Key("next_check_at");
  // One that was only just made is due.
  AppendTime(status.next_check_at == absl::InfinitePast() ? check.created_at : status.next_check_at,
             json);
  json.Key("created_at");
  AppendTime(check.created_at, json);
  json.Key("mute_until").TextOrNull(check.mute_until).Key("favicon_url").Null();
  json.Key("custom_headers").BeginObject();
  for (const auto& [name, value] : check.custom_headers) json.Key(name).Text(value);
  json.EndObject();
  json.Key("http_verb").Text(check.http_verb).Key("http_body").Text(check.http_body);
  AppendTls(status, json);
  if (shape.metrics != nullptr) {
    json.Key("metrics");
    AppendBrief(*shape.metrics, check.apdex_t, json);
  }
  json.EndObject();
}

void AppendMetrics(const ProbeMetrics& metrics, double apdex_t, const Vantage* host,
                   JsonText& json) {
  json.BeginObject().Key("uptime").Number(Rounded(metrics.uptime, 1000));
  if (const std::optional<double> apdex = metrics.Apdex(apdex_t)) {
    json.Key("apdex").Number(*apdex);
    AppendTimings(metrics, json);
  }
  json.Key("requests").BeginObject();
  json.Key("samples").Int(metrics.samples).Key("failures").Int(metrics.failures);
  json.Key("satisfied").Int(metrics.Satisfied(apdex_t));
  json.Key("tolerated").Int(metrics.Tolerated(apdex_t));
  json.Key("by_response_time").BeginObject();
  for (size_t i = 0; i < std::size(kUnder); ++i) json.Key(kUnder[i]).Int(metrics.under[i]);
  json.EndObject().EndObject();
  if (host != nullptr) {
    json.Key("host").BeginObject();
    AppendPlace(*host, json);
    json.EndObject();
  }
  json.EndObject();
}

namespace {

/// One of a downtime's looks, in the shape of updown's clients. Headers are not kept: ours may be
/// secrets.
void AppendLook(const SeenLook& look, absl::string_view id, absl::string_view details_url,
                JsonText& json) {
  json.BeginObject().Key("id").Text(id).Key("status").Text(look.up ? "up" : "down");
  json.Key("error").TextOrNull(look.error).Key("details_url").Text(details_url);
  json.Key("request").BeginObject().Key("sent_at");
  AppendTime(look.time, json);
  json.Key("http_method").TextOrNull(look.method).Key("http_version").Null();
  json.Key("sent_headers").BeginObject().EndObject().Key("node").Text(look.vantage).EndObject();
  json.Key("response").BeginObject().Key("received_at");
  AppendTime(look.time + look.took, json);
  json.Key("final_url").Null().Key("code");
  look.status > 0 ? json.Int(look.status) : json.Null();
  json.Key("ip").TextOrNull(look.address);
  json.Key("received_headers").BeginObject().EndObject().EndObject().EndObject();
}

void AppendLooks(const std::vector<SeenLook>& looks, absl::string_view side,
                 const Downtime& downtime, absl::string_view details_url, JsonText& json) {
  json.Key(absl::StrCat(side, "_results")).BeginArray();
  for (size_t i = 0; i < looks.size(); ++i) {
    AppendLook(looks[i], absl::StrCat(downtime.id, "-", side, "-", i + 1), details_url, json);
  }
  json.EndArray();
}

}  // namespace

void AppendDowntime(const Downtime& downtime, absl::string_view base_url, bool results,
                    JsonText& json) {
  json.BeginObject();
  json.Key("id").Text(downtime.id);
  const std::string details_url = absl::StrCat(base_url, "/downtimes/", downtime.id);
  json.Key("details_url").Text(details_url);
  json.Key("error").Text(downtime.error).Key("started_at");
  AppendTime(downtime.started_at, json);
  json.Key("ended_at");
  AppendTime(downtime.ended_at.value_or(absl::InfinitePast()), json);
  json.Key("duration");
  if (downtime.ended_at.has_value()) {
    json.Int(absl::ToInt64Seconds(*downtime.ended_at - downtime.started_at));
  } else {
    json.Null();
  }
  json.Key("partial");
  downtime.partial.has_value() ? json.Bool(*downtime.partial) : json.Null();
  if (results) {
    AppendLooks(downtime.down_looks, "down", downtime, details_url, json);
    AppendLooks(downtime.up_looks, "up", downtime, details_url, json);
  }
  json.EndObject();
}

std::string NodesJson(const std::vector<Vantage>& vantages) {
  JsonText json;
  json.BeginObject();
  for (const Vantage& vantage : vantages) {
    json.Key(vantage.name).BeginObject();
    AppendPlace(vantage, json);
    json.Key("lat").Int(0).Key("lng").Int(0).EndObject();
  }
  json.EndObject();
  return json.Take();
}

std::string NodeAddressesJson(const std::vector<Vantage>& vantages, bool ipv4, bool ipv6) {
  JsonText json;
  json.BeginArray();
  for (const Vantage& vantage : vantages) {
    if (vantage.address.empty()) continue;
    if (IsIpv6(vantage) ? ipv6 : ipv4) json.Text(vantage.address);
  }
  json.EndArray();
  return json.Take();
}

}  // namespace fleet::collector
