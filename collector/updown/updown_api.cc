#include "collector/updown/updown_api.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/http/body.h"
#include "collector/http/cors.h"
#include "collector/http/error_answer.h"
#include "collector/http/packing.h"
#include "collector/updown/time_text.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr absl::string_view kMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether a weak tag is among those of an If-None-Match.
bool Knows(absl::string_view if_none_match, absl::string_view tag) {
  for (absl::string_view known : absl::StrSplit(if_none_match, ',')) {
    known = absl::StripAsciiWhitespace(known);
    if (known == "*" || known == tag) return true;
  }
  return false;
}

std::string TagOf(absl::string_view body) {
  return absl::StrCat("W/\"", absl::Hex(absl::HashOf(body), absl::kZeroPad16),
                      absl::Hex(body.size()), "\"");
}

/// Adds the headers of a good GET. False when the client has the body of this tag already: then
/// the answer is whole.
bool BeginRead(const HttpRequest& request, absl::string_view tag, HttpResponse& response) {
  // A shared cache tells answers apart by X-Api-Key and the query, not by Authorization.
  const bool bearer = !request.header("authorization").empty();
  response.headers.emplace_back("Cache-Control",
                                bearer ? "private, max-age=30" : "public, max-age=30");
  response.headers.emplace_back("Vary", "X-Api-Key, Origin, Accept-Encoding");
  response.headers.emplace_back("ETag", std::string(tag));
  AllowOrigins(response);
  if (!Knows(request.header("if-none-match"), tag)) return true;
  response.status = 304;
  response.body.clear();
  return false;
}

/// The headers of a good GET, gzip, and 304 for whoever has the body already.
void FinishRead(const HttpRequest& request, HttpResponse& response) {
  if (BeginRead(request, TagOf(response.body), response)) PackBody(request, response);
}

void FinishChange(HttpResponse& response) {
  const bool good = response.status < 300;
  response.headers.emplace_back("Cache-Control",
                                good ? "max-age=0, private, must-revalidate" : "no-cache");
  response.headers.emplace_back("Vary", "Origin");
  if (good) AllowOrigins(response);
}

}  // namespace

HttpResponse JsonAnswer(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

HttpResponse JsonError(const absl::Status& status) {
  int code = 500;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
      code = 400;
      break;
    case absl::StatusCode::kPermissionDenied:
      code = 403;
      break;
    case absl::StatusCode::kNotFound:
      code = 404;
      break;
    case absl::StatusCode::kUnavailable:
      code = 503;
      break;
    default:
      break;
  }
  return ApiError(code, status.message());
}

UpdownApi::UpdownApi(Parts parts)
    : parts_(std::move(parts)), changes_(kChangesPerSecond, kChangesBurst, parts_.clock) {}

std::string UpdownApi::BaseUrl(const HttpRequest& request) const {
  if (!parts_.public_url.empty()) return parts_.public_url;
  const absl::string_view host = request.header("host");
  const bool plain = host.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                         ".-_:[]") == absl::string_view::npos;
  const bool tls = request.header("x-forwarded-proto") == "https";
  return absl::StrCat(tls ? "https://" : "http://",
                      plain && !host.empty() && host.size() < 260 ? host : "localhost");
}

HttpResponse UpdownApi::Answer(const HttpRequest& request, Method method, bool change,
                               bool anybody) {
  HttpResponse response;
  const KeyAccess access = anybody ? KeyAccess::kRead : parts_.keys.Of(request);
  if (access == KeyAccess::kNone) {
    response = ApiError(401, "Invalid or missing API key");
  } else if (change && !parts_.keys.AllowsChange(request)) {
    response = ApiError(403, "This API key is read-only");
  } else if (change && !changes_.Allow(parts_.keys.Holder(request))) {
    response = ApiError(429, "Too many changes, try again in a second");
    response.headers.emplace_back("Retry-After", "1");
  } else {
    if (change) ForgetList();
    response = (this->*method)(request);
    if (change) ForgetList();
    if (method == &UpdownApi::ListChecks) return response;
  }
  if (change || response.status >= 300) {
    FinishChange(response);
  } else {
    FinishRead(request, response);
  }
  return response;
}

Routes::Route UpdownApi::At(const char* pattern, const char* help, Method get, Method post,
                            Method put, Method remove) {
  Routes::Route route;
  route.pattern = pattern;
  route.help = help;
  const bool anybody = absl::StartsWith(pattern, "/api/nodes");
  std::vector<std::string> methods = {"OPTIONS"};
  if (post != nullptr) methods.emplace_back("POST");
  if (put != nullptr) methods.insert(methods.end(), {"PUT", "PATCH"});
  if (remove != nullptr) methods.emplace_back("DELETE");
  route.methods = std::move(methods);
  route.answer = [this, get, post, put, remove, anybody](const HttpRequest& request) {
    if (request.method == "OPTIONS") return PreflightAnswer(kMethods);
    if (request.method == "POST") return Answer(request, post, true, false);
    if (request.method == "DELETE") return Answer(request, remove, true, false);
    if (request.method != "GET") return Answer(request, put, true, false);
    if (get != nullptr) return Answer(request, get, false, anybody);
    HttpResponse response = ApiError(405, "Method not allowed");
    response.headers.emplace_back("Allow", "PUT, PATCH, DELETE");
    return response;
  };
  return route;
}

std::vector<Routes::Route> UpdownApi::MakeRoutes() {
  using Api = UpdownApi;
  std::vector<Routes::Route> routes = {
      At("/api/checks", "the probes, as updown.io's API has them (needs a key)", &Api::ListChecks,
         &Api::CreateCheck, nullptr, nullptr),
      At("/api/checks/*", "", &Api::ShowCheck, nullptr, &Api::UpdateCheck, &Api::RemoveCheck),
      At("/api/checks/*/downtimes", "", &Api::ListDowntimes, nullptr, nullptr, nullptr),
      At("/api/checks/*/metrics", "", &Api::ShowMetrics, nullptr, nullptr, nullptr),
      At("/api/nodes", "", &Api::ListNodes, nullptr, nullptr, nullptr),
      At("/api/nodes/*", "", &Api::ListNodeAddresses, nullptr, nullptr, nullptr),
      At("/api/recipients", "", &Api::ListRecipients, &Api::CreateRecipient, nullptr, nullptr),
      At("/api/recipients/*", "", nullptr, nullptr, nullptr, &Api::RemoveRecipient),
      At("/api/webhooks", "", &Api::ListWebhooks, &Api::CreateWebhook, nullptr, nullptr),
      At("/api/webhooks/*", "", nullptr, nullptr, nullptr, &Api::RemoveRecipient),
      // On the wire it has an underscore; some clients write what the documentation's anchors say.
      At("/api/status_pages", "", &Api::ListStatusPages, &Api::CreateStatusPage, nullptr, nullptr),
      At("/api/status-pages", "", &Api::ListStatusPages, &Api::CreateStatusPage, nullptr, nullptr),
      At("/api/status_pages/*", "", nullptr, nullptr, &Api::UpdateStatusPage,
         &Api::RemoveStatusPage),
      At("/api/status-pages/*", "", nullptr, nullptr, &Api::UpdateStatusPage,
         &Api::RemoveStatusPage),
  };
  return routes;
}

// ---- checks -----------------------------------------------------------------------------------

namespace {

absl::Status NoSuchCheck() { return absl::NotFoundError("Check not found"); }

/// By token alone: a name is ours, not theirs.
std::optional<ProbeView> FindCheck(const Probes& probes, const std::string& token) {
  std::optional<ProbeView> view = probes.Find(token);
  if (view.has_value() && view->check->token != token) return std::nullopt;
  return view;
}

HttpResponse CheckAnswer(int status, const ProbeView& view, const CheckShape& shape) {
  JsonText json;
  AppendCheck(view, shape, json);
  return JsonAnswer(status, json.Take());
}

/// What a request says, in its query and its body; the body wins.
absl::StatusOr<BodyFields> FieldsOfRequest(const HttpRequest& request) {
  FLEET_ASSIGN_OR_RETURN(BodyFields fields, FieldsOf(request.query));
  FLEET_ASSIGN_OR_RETURN(BodyFields body, ParseBody(request.header("content-type"), request.body));
  for (auto& [name, value] : body) fields[name] = std::move(value);
  return fields;
}

}  // namespace

std::shared_ptr<const UpdownApi::List> UpdownApi::NewestList(const HttpRequest& request) {
  const SteadyTime now = parts_.clock.SteadyNow();
  const std::string base_url = BaseUrl(request);
  uint64_t changes = 0;
  {
    MutexLock lock(list_mutex_);
    if (list_ != nullptr && list_->base_url == base_url && now - list_->made < kListAgeMax) {
      return list_;
    }
    changes = list_changes_;
  }
  const auto list = std::make_shared<List>();
  list->made = now;
  list->base_url = base_url;
  JsonText json;
  json.BeginArray();
  for (const ProbeView& view : parts_.probes.List()) {
    AppendCheck(view, CheckShape{base_url}, json);
  }
  json.EndArray();
  list->body = json.Take();
  list->packed = Gzipped(list->body);
  list->tag = TagOf(list->body);
  MutexLock lock(list_mutex_);
  if (list_changes_ == changes) list_ = list;
  return list;
}

void UpdownApi::ForgetList() {
  MutexLock lock(list_mutex_);
  ++list_changes_;
  list_ = nullptr;
}

HttpResponse UpdownApi::ListChecks(const HttpRequest& request) {
  const std::shared_ptr<const List> list = NewestList(request);
  HttpResponse response = JsonAnswer(200, "");
  if (!BeginRead(request, list->tag, response)) return response;
  if (WantsGzip(request, list->body.size())) {
    response.body = list->packed;
    response.headers.emplace_back("Content-Encoding", "gzip");
  } else {
    response.body = list->body;
  }
  return response;
}

absl::StatusOr<ProbeMetrics> UpdownApi::Figures(absl::string_view token, absl::Time from,
                                                absl::Time to) {
  if (from < to) {
    FLEET_ASSIGN_OR_RETURN(const auto found,
                           parts_.probes.Metrics(token, from, to, MetricsGroup::kNone));
    if (!found.empty() && found.begin()->second.samples > 0) return found.begin()->second;
  }
  // Right after a full hour nothing is counted yet: the newest hour that has samples says more.
  const absl::Time now = parts_.clock.Now();
  ProbeMetrics newest;
  for (const absl::Duration back : {absl::Hours(3), kMetricsSpan}) {
    FLEET_ASSIGN_OR_RETURN(const auto hours,
                           parts_.probes.Metrics(token, now - back, now, MetricsGroup::kTime));
    for (const auto& [hour, metrics] : hours) {
      if (metrics.samples > 0) newest = metrics;
    }
    if (newest.samples > 0) break;
  }
  return newest;
}

HttpResponse UpdownApi::ShowCheck(const HttpRequest& request) {
  const std::optional<ProbeView> view = FindCheck(parts_.probes, request.path[2]);
  if (!view.has_value()) return JsonError(NoSuchCheck());
  CheckShape shape{BaseUrl(request)};
  if (!IsTrue(request.argument("metrics"))) return CheckAnswer(200, *view, shape);
  const absl::Time now = parts_.clock.Now();
  const auto metrics = Figures(view->check->token, now - absl::Hours(1), now);
  if (!metrics.ok()) return JsonError(metrics.status());
  shape.metrics = &*metrics;
  return CheckAnswer(200, *view, shape);
}

HttpResponse UpdownApi::CreateCheck(const HttpRequest& request) {
  const auto fields = FieldsOfRequest(request);
  if (!fields.ok()) return JsonError(fields.status());
  ProbeCheck check;
  const auto problems = ApplyCheckFields(*fields, parts_.rights, check);
  if (!problems.empty()) {
    return JsonError(absl::InvalidArgumentError(absl::StrJoin(problems, ", ")));
  }
  if (check.url.empty() && check.type != "pulse") {
    return JsonError(absl::InvalidArgumentError("URL can't be blank"));
  }
  const auto made = parts_.probes.Create(std::move(check));
  if (!made.ok()) return JsonError(made.status());
  return CheckAnswer(201, *made, {BaseUrl(request), true});
}

HttpResponse UpdownApi::UpdateCheck(const HttpRequest& request) {
  const std::optional<ProbeView> view = FindCheck(parts_.probes, request.path[2]);
  if (!view.has_value()) return JsonError(NoSuchCheck());
  if (view->check->from_config) {
    return JsonError(absl::PermissionDeniedError(
        "This check is defined in collector.yaml and can only be changed there"));
  }
  const auto fields = FieldsOfRequest(request);
  if (!fields.ok()) return JsonError(fields.status());
  ProbeCheck check = *view->check;
  const auto problems = ApplyCheckFields(*fields, parts_.rights, check);
  if (!problems.empty()) {
    return JsonError(absl::InvalidArgumentError(absl::StrJoin(problems, ", ")));
  }
  const auto changed = parts_.probes.Update(std::move(check));
  if (!changed.ok()) return JsonError(changed.status());
  return CheckAnswer(200, *changed, {BaseUrl(request), true});
}

HttpResponse UpdownApi::RemoveCheck(const HttpRequest& request) {
  const std::optional<ProbeView> view = FindCheck(parts_.probes, request.path[2]);
  if (!view.has_value()) return JsonError(NoSuchCheck());
  if (view->check->from_config) {
    return JsonError(absl::PermissionDeniedError(
        "This check is defined in collector.yaml and can only be removed there"));
  }
  const absl::Status removed = parts_.probes.Remove(view->check->token);
  return removed.ok() ? JsonAnswer(200, R"({"deleted":true})") : JsonError(removed);
}

HttpResponse UpdownApi::ListDowntimes(const HttpRequest& request) {
  const std::optional<ProbeView> view = FindCheck(parts_.probes, request.path[2]);
  if (!view.has_value()) return JsonError(NoSuchCheck());
  size_t page = 1;
  if (!absl::SimpleAtoi(request.argument("page"), &page) || page < 1) page = 1;
  page = std::min(page, kPagesMax);
  const auto downtimes = parts_.probes.Downtimes(view->check->token, (page - 1) * kDowntimesPerPage,
                                                 kDowntimesPerPage);
  if (!downtimes.ok()) return JsonError(downtimes.status());
  const std::string base = BaseUrl(request);
  JsonText json;
  json.BeginArray();
  for (const Downtime& downtime : *downtimes) {
    AppendDowntime(downtime, base, IsTrue(request.argument("results")), json);
  }
  json.EndArray();
  return JsonAnswer(200, json.Take());
}

HttpResponse UpdownApi::ShowMetrics(const HttpRequest& request) {
  const std::optional<ProbeView> view = FindCheck(parts_.probes, request.path[2]);
  if (!view.has_value()) return JsonError(NoSuchCheck());
  const absl::Time now = parts_.clock.Now();
  absl::Time from = now - kMetricsSpan;
  absl::Time to = now;
  for (const auto& [name, time] : {std::pair("from", &from), std::pair("to", &to)}) {
    const absl::string_view given = request.argument(name);
    if (given.empty()) continue;
    const absl::StatusOr<absl::Time> parsed = ParseApiTime(given);
    if (!parsed.ok()) {
      return JsonError(absl::InvalidArgumentError(
          FieldProblem(*name == 'f' ? "From" : "To", "is not a time", given)));
    }
    *time = *parsed;
  }
  JsonText json;
  const double apdex_t = view->check->apdex_t;
  const absl::string_view group = request.argument("group");
  if (group != "time" && group != "host") {
    const auto metrics = Figures(view->check->token, from, to);
    if (!metrics.ok()) return JsonError(metrics.status());
    AppendMetrics(*metrics, apdex_t, nullptr, json);
    return JsonAnswer(200, json.Take());
  }
  std::map<std::string, ProbeMetrics> found;
  if (from < to) {
    auto grouped = parts_.probes.Metrics(
        view->check->token, from, to, group == "time" ? MetricsGroup::kTime : MetricsGroup::kHost);
    if (!grouped.ok()) return JsonError(grouped.status());
    found = *std::move(grouped);
  }
  const std::vector<Vantage> vantages = parts_.probes.Vantages();
  json.BeginObject();
  for (const auto& [key, metrics] : found) {
    Vantage host{key, true, ""};
    for (const Vantage& vantage : vantages) {
      if (vantage.name == key) host = vantage;
    }
    json.Key(key);
    AppendMetrics(metrics, apdex_t, group == "host" ? &host : nullptr, json);
  }
  json.EndObject();
  return JsonAnswer(200, json.Take());
}

// ---- nodes ------------------------------------------------------------------------------------

HttpResponse UpdownApi::ListNodes(const HttpRequest&) {
  return JsonAnswer(200, NodesJson(parts_.probes.Vantages()));
}

HttpResponse UpdownApi::ListNodeAddresses(const HttpRequest& request) {
  const std::string& which = request.path[2];
  if (which != "ips" && which != "ipv4" && which != "ipv6") {
    return JsonError(absl::NotFoundError("Not found"));
  }
  return JsonAnswer(200,
                    NodeAddressesJson(parts_.probes.Vantages(), which != "ipv6", which != "ipv4"));
}

}  // namespace fleet::collector
