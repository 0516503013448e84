#include "collector/http/routes.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/exposition.h"
#include "collector/http/error_answer.h"
#include "collector/http/health.h"
#include "collector/http/negotiate.h"
#include "common/version.h"

namespace fleet::collector {
namespace {

HttpResponse Text(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

bool Matches(absl::string_view pattern, const std::vector<std::string>& path) {
  const std::vector<absl::string_view> parts = absl::StrSplit(pattern, '/', absl::SkipEmpty());
  if (parts.size() != path.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] != "*" && parts[i] != path[i]) return false;
  }
  return true;
}

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

/// Whether `text` can be a Host header: it goes into what a Prometheus will connect to.
bool IsAuthority(absl::string_view text) {
  if (text.empty() || text.size() > 260) return false;
  return text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             ".-_:[]") == absl::string_view::npos;
}

}  // namespace

Routes::Routes(const FleetState& state, SelfMetrics& metrics, AccessKeys keys)
    : state_(state), metrics_(metrics), keys_(std::move(keys)) {
  using Method = HttpResponse (Routes::*)(const HttpRequest&) const;
  const auto to = [this](Method method) {
    return [this, method](const HttpRequest& request) { return (this->*method)(request); };
  };
  Add({
      {"/", "", to(&Routes::Index)},
      {"/-/healthy", "whether this process runs", to(&Routes::Healthy)},
      {"/-/ready", "whether it serves", to(&Routes::Ready)},
      {"/health", "200 or 503 for the whole fleet, with a keyword", to(&Routes::Health)},
      {"/health/*", "the same for a host", to(&Routes::Health)},
      {"/health/*/*", "the same for a check of a host", to(&Routes::Health)},
      {"/metrics", "every host, for Prometheus (honor_labels: true)", to(&Routes::Metrics)},
      {"/metrics/host/*", "one host; 503 when it is silent", to(&Routes::HostMetrics)},
      {"/metrics/probes", "the probes, for a Prometheus that scrapes host by host",
       to(&Routes::ProbeMetrics)},
      {"/metrics/self", "this collector", to(&Routes::SelfMetricsText)},
      {"/sd/hosts", "the hosts, as Prometheus HTTP service discovery", to(&Routes::SdHosts)},
  });
}

void Routes::Add(std::vector<Route> routes) {
  routes_.insert(routes_.end(), std::make_move_iterator(routes.begin()),
                 std::make_move_iterator(routes.end()));
}

HttpResponse Routes::Answer(const HttpRequest& request) const {
  const Route* other_method = nullptr;
  for (const Route& route : routes_) {
    if (!Matches(route.pattern, request.path)) continue;
    if (request.method != "GET" && !absl::c_linear_search(route.methods, request.method)) {
      other_method = &route;
      continue;
    }
    HttpResponse response = route.answer(request);
    response.route = route.pattern;
    return response;
  }
  const std::string target = absl::StrCat("/", absl::StrJoin(request.path, "/"));
  if (other_method == nullptr) return ErrorAnswer(target, 404, "no such path");
  HttpResponse response = ErrorAnswer(target, 405, "not with this method");
  response.route = other_method->pattern;
  std::vector<std::string> allowed = {"GET", "HEAD"};
  allowed.insert(allowed.end(), other_method->methods.begin(), other_method->methods.end());
  response.headers.emplace_back("Allow", absl::StrJoin(allowed, ", "));
  return response;
}

HttpResponse Routes::Index(const HttpRequest&) const {
  const v1::StatusReply status = WholeStatus();
  const bool empty = status.hosts().empty() && status.probes().empty();
  std::string body = absl::StrCat(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>fleet</title></head>"
      "<body><h1>fleet: ",
      empty ? "no host has reported yet"
            : VerdictName(static_cast<Verdict>(static_cast<int>(status.verdict()))),
      "</h1>\n<table>\n");
  for (const v1::HostStatus& host : status.hosts()) {
    absl::StrAppend(
        &body, "<tr><td><a href=\"/health/", EscapeHtml(host.name()), "\">",
        EscapeHtml(host.name()), "</a></td><td>",
        host.up() ? VerdictName(static_cast<Verdict>(static_cast<int>(host.verdict()))) : "silent",
        "</td></tr>\n");
  }
  absl::StrAppend(&body, "</table>\n<table>\n");
  for (const Route& route : routes_) {
    if (route.help.empty()) continue;
    const std::string shown = EscapeHtml(route.pattern);
    const bool link = !absl::StrContains(route.pattern, '*');
    absl::StrAppend(&body, "<tr><td>",
                    link ? absl::StrCat("<a href=\"", shown, "\">", shown, "</a>") : shown,
                    "</td><td>", EscapeHtml(route.help), "</td></tr>\n");
  }
  absl::StrAppend(&body, "</table>\n<p>fleet-collector ", Version(), "</p></body></html>\n");
  HttpResponse response = Text(200, std::move(body));
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("Content-Security-Policy", "default-src 'none'");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

HttpResponse Routes::Exposed(const HttpRequest& request, FleetView view) const {
  const ExpositionFormat format = WantsOpenMetrics(request.header("accept"))
                                      ? ExpositionFormat::kOpenMetrics
                                      : ExpositionFormat::kText;
  const bool gzip = AcceptsGzip(request.header("accept-encoding"));
  HttpResponse response;
  response.content_type = std::string(ContentType(format));
  response.headers.emplace_back("Vary", "Accept, Accept-Encoding");
  if (gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  response.source = MakeExpositionBody(std::move(view), format, gzip);
  return response;
}

HttpResponse Routes::Metrics(const HttpRequest& request) const {
  FleetView view = state_.Snapshot();
  if (extra_) view.extra = extra_();
  return Exposed(request, std::move(view));
}

HttpResponse Routes::ProbeMetrics(const HttpRequest& request) const {
  FleetView view;
  if (extra_) view.extra = extra_();
  return Exposed(request, std::move(view));
}

HttpResponse Routes::HostMetrics(const HttpRequest& request) const {
  FleetView view = state_.Snapshot(request.path[2]);
  if (view.hosts.empty()) return Text(404, "no such host\n");
  // A scrape that fails makes Prometheus' own `up` tell the truth about the host.
  if (!view.hosts[0].up) return Text(503, "this host is silent\n");
  return Exposed(request, std::move(view));
}

HttpResponse Routes::SelfMetricsText(const HttpRequest&) const {
  HttpResponse response = Text(200, metrics_.Render());
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

HttpResponse Routes::SdHosts(const HttpRequest& request) const {
  const absl::string_view asked = request.header("host");
  const std::string target = IsAuthority(asked) ? std::string(asked) : address_.ToString();
  nlohmann::json groups = nlohmann::json::array();
  for (const HostView& host : state_.Snapshot().hosts) {
    const std::string& name = host.facts->name;
    groups.push_back({{"targets", {target}},
                      {"labels",
                       {{"__metrics_path__", absl::StrCat("/metrics/host/", name)},
                        {"host", name},
                        {"instance", name}}}});
  }
  // Names were checked when their hosts connected; a replaced byte is better than an exception.
  HttpResponse response =
      Text(200, groups.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  response.content_type = "application/json";
  return response;
}

v1::StatusReply Routes::WholeStatus() const {
  v1::StatusReply status = state_.Status({});
  if (probes_) probes_(status);
  return status;
}

HttpResponse Routes::Health(const HttpRequest& request) const {
  v1::StatusRequest asked;
  if (request.path.size() > 1) asked.set_host(request.path[1]);
  if (request.path.size() > 2) asked.set_check(request.path[2]);
  const std::string subject = request.path.size() > 1
                                  ? absl::StrJoin(request.path.begin() + 1, request.path.end(), "/")
                                  : "*";
  return HealthAnswer(subject, subject == "*" ? WholeStatus() : state_.Status(asked),
                      request.argument("fail-on") == "warn", keys_.Allows(request));
}

HttpResponse Routes::Healthy(const HttpRequest&) const { return Text(200, "healthy\n"); }

HttpResponse Routes::Ready(const HttpRequest&) const {
  return ready_ ? Text(200, "ready\n") : Text(503, "not ready\n");
}

}  // namespace fleet::collector
