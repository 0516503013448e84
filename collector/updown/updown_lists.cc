#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/http/body.h"
#include "collector/updown/updown_api.h"

// Recipients, webhooks and status pages of the API.
namespace fleet::collector {
namespace {

constexpr size_t kNameBytesMax = 200;
constexpr size_t kDescriptionBytesMax = 10'000;
constexpr size_t kUrlBytesMax = 2'000;
constexpr size_t kChecksOfPageMax = 5'000;

/// Those that we can tell something.
bool IsDelivered(absl::string_view type) {
  return type == "webhook" || type == "slack_compatible" || type == "msteams";
}

void AppendRecipient(const Recipient& recipient, JsonText& json) {
  json.BeginObject();
  json.Key("id").Text(recipient.id).Key("type").Text(recipient.type);
  json.Key("name").Text(recipient.name.empty() ? recipient.value : recipient.name);
  json.Key("value").Text(recipient.value);
  if (recipient.immutable) json.Key("immutable").Bool(true);
  json.EndObject();
}

void AppendWebhook(const Recipient& recipient, JsonText& json) {
  json.BeginObject().Key("id").Text(recipient.webhook_id);
  json.Key("url").Text(recipient.value).EndObject();
}

void AppendPage(const StatusPage& page, absl::string_view base_url, JsonText& json) {
  json.BeginObject().Key("token").Text(page.token);
  json.Key("url").Text(absl::StrCat(base_url, "/status")).Key("name").TextOrNull(page.name);
  json.Key("description").TextOrNull(page.description);
  json.Key("visibility").Text(page.visibility).Key("access_key").TextOrNull(page.access_key);
  json.Key("checks").BeginArray();
  for (const std::string& token : page.checks) json.Text(token);
  json.EndArray().EndObject();
}

absl::string_view TextOf(const BodyFields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? absl::string_view() : absl::string_view(found->second.text);
}

bool IsPrintable(absl::string_view text, bool lines) {
  return absl::c_all_of(text, [lines](char c) {
    return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) ||
           (lines && absl::StrContains("\r\n\t", c));
  });
}

HttpResponse Problem(absl::string_view field, absl::string_view what, absl::string_view given) {
  return JsonError(absl::InvalidArgumentError(FieldProblem(field, what, given.substr(0, 80))));
}

}  // namespace

// ---- recipients and webhooks ------------------------------------------------------------------

HttpResponse UpdownApi::ListRecipients(const HttpRequest&) {
  JsonText json;
  json.BeginArray();
  for (const Recipient& recipient : parts_.store.Recipients()) AppendRecipient(recipient, json);
  json.EndArray();
  return JsonAnswer(200, json.Take());
}

HttpResponse UpdownApi::AddUrl(const HttpRequest&, Recipient recipient, bool as_webhook) {
  const std::string& url = recipient.value;
  const char* const field = as_webhook ? "Url" : "Value";
  if (url.empty())
    return JsonError(absl::InvalidArgumentError(absl::StrCat(field, " can't be blank")));
  const bool http =
      absl::StartsWithIgnoreCase(url, "https://") || absl::StartsWithIgnoreCase(url, "http://");
  const bool plain = IsPrintable(url, false) && !absl::StrContains(url, ' ');
  if (!http || !plain || url.size() > kUrlBytesMax) return Problem(field, "is not a URL", url);
  if (!IsPrintable(recipient.name, false) || recipient.name.size() > kNameBytesMax) {
    return Problem("Name", "is invalid", recipient.name);
  }
  if (parts_.refuse_webhook != nullptr) {
    const std::string why = parts_.refuse_webhook(url);
    if (!why.empty()) return Problem(field, why, url);
  }
  const auto made = parts_.store.AddRecipient(std::move(recipient));
  if (!made.ok()) return JsonError(made.status());
  JsonText json;
  as_webhook ? AppendWebhook(*made, json) : AppendRecipient(*made, json);
  return JsonAnswer(201, json.Take());
}

HttpResponse UpdownApi::CreateRecipient(const HttpRequest& request) {
  const auto fields = ParseBody(request.header("content-type"), request.body);
  if (!fields.ok()) return JsonError(fields.status());
  Recipient recipient;
  recipient.type = std::string(TextOf(*fields, "type"));
  recipient.name = std::string(TextOf(*fields, "name"));
  recipient.value = std::string(absl::StripAsciiWhitespace(TextOf(*fields, "value")));
  const absl::string_view selected = TextOf(*fields, "selected");
  recipient.selected = selected.empty() || IsTrue(selected);
  if (recipient.type == "email" || recipient.type == "sms") {
    // Taken and never told of anything, it would be a false sense of safety.
    return Problem("Type",
                   "is not something that fleet can send; webhook, slack_compatible and "
                   "msteams are",
                   recipient.type);
  }
  if (!IsDelivered(recipient.type)) {
    return Problem("Type", "is not included in the list", recipient.type);
  }
  return AddUrl(request, std::move(recipient), false);
}

HttpResponse UpdownApi::RemoveRecipient(const HttpRequest& request) {
  const absl::Status removed = parts_.store.RemoveRecipient(request.path[2]);
  return removed.ok() ? JsonAnswer(200, R"({"deleted":true})") : JsonError(removed);
}

HttpResponse UpdownApi::ListWebhooks(const HttpRequest&) {
  JsonText json;
  json.BeginArray();
  for (const Recipient& recipient : parts_.store.Recipients()) {
    if (recipient.type == "webhook") AppendWebhook(recipient, json);
  }
  json.EndArray();
  return JsonAnswer(200, json.Take());
}

HttpResponse UpdownApi::CreateWebhook(const HttpRequest& request) {
  const auto fields = ParseBody(request.header("content-type"), request.body);
  if (!fields.ok()) return JsonError(fields.status());
  Recipient recipient;
  recipient.type = "webhook";
  recipient.value = std::string(absl::StripAsciiWhitespace(TextOf(*fields, "url")));
  return AddUrl(request, std::move(recipient), true);
}

// ---- status pages -----------------------------------------------------------------------------

HttpResponse UpdownApi::ListStatusPages(const HttpRequest& request) {
  const std::string base = BaseUrl(request);
  JsonText json;
  json.BeginArray();
  for (const StatusPage& page : parts_.store.StatusPages()) AppendPage(page, base, json);
  json.EndArray();
  return JsonAnswer(200, json.Take());
}

HttpResponse UpdownApi::Save(const HttpRequest& request, StatusPage page, int status) {
  const auto fields = ParseBody(request.header("content-type"), request.body);
  if (!fields.ok()) return JsonError(fields.status());
  const auto take = [&](const char* name, std::string& out) {
    const auto found = fields->find(name);
    if (found != fields->end()) out = found->second.text;
  };
  take("name", page.name);
  take("description", page.description);
  take("visibility", page.visibility);
  take("access_key", page.access_key);
  if (page.visibility.empty()) page.visibility = "public";
  if (page.visibility != "public" && page.visibility != "protected" &&
      page.visibility != "private") {
    return Problem("Visibility", "is not included in the list", page.visibility);
  }
  if (page.visibility != "public") {
    return Problem("Visibility", "must be public: there is one page here, and it is for everybody",
                   page.visibility);
  }
  if (!IsPrintable(page.name, false) || page.name.size() > kNameBytesMax) {
    return Problem("Name", "is invalid", page.name);
  }
  if (!IsPrintable(page.description, true) || page.description.size() > kDescriptionBytesMax) {
    return Problem("Description", "is invalid", page.description);
  }
  if (!IsPrintable(page.access_key, false) || page.access_key.size() > kNameBytesMax) {
    return Problem("Access key", "is invalid", page.access_key);
  }
  if (const auto found = fields->find("checks"); found != fields->end()) {
    page.checks = found->second.list;
    if (found->second.kind == BodyValue::Kind::kText) {
      page.checks = absl::StrSplit(found->second.text, ',', absl::SkipWhitespace());
    }
    std::erase(page.checks, "");
    if (page.checks.size() > kChecksOfPageMax) return Problem("Checks", "are too many", "");
  }
  if (page.checks.empty()) return JsonError(absl::InvalidArgumentError("Checks can't be blank"));
  for (const std::string& token : page.checks) {
    const auto view = parts_.probes.Find(token);
    if (!view.has_value() || view->check->token != token) {
      return Problem("Checks", "is not known", token);
    }
  }
  const auto saved = parts_.store.SaveStatusPage(std::move(page));
  if (!saved.ok()) return JsonError(saved.status());
  JsonText json;
  AppendPage(*saved, BaseUrl(request), json);
  return JsonAnswer(status, json.Take());
}

HttpResponse UpdownApi::CreateStatusPage(const HttpRequest& request) {
  return Save(request, {}, 201);
}

HttpResponse UpdownApi::UpdateStatusPage(const HttpRequest& request) {
  std::optional<StatusPage> page = parts_.store.FindStatusPage(request.path[2]);
  if (!page.has_value()) return JsonError(absl::NotFoundError("Status page not found"));
  return Save(request, *std::move(page), 200);
}

HttpResponse UpdownApi::RemoveStatusPage(const HttpRequest& request) {
  const absl::Status removed = parts_.store.RemoveStatusPage(request.path[2]);
  return removed.ok() ? JsonAnswer(200, R"({"deleted":true})") : JsonError(removed);
}

}  // namespace fleet::collector
