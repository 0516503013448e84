#include "collector/updown/pulses_in.h"

#include <openssl/crypto.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "collector/updown/updown_api.h"
#include "common/escape.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

HttpResponse Plain(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

/// "0f8fad5b-d9cb-469f-a165-70867728950e": what updown gives a pulse, for whoever logs it.
std::string RandomUuid() {
  std::string bytes = SecureRandom(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(bytes);
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

bool SameText(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

HttpResponse Json(int status, std::string body) {
  HttpResponse response = JsonAnswer(status, std::move(body));
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

}  // namespace

std::string PulsesIn::TokenOfKey(absl::string_view key) const {
  std::string token;
  for (const ProbeView& view : probes_.List()) {
    const ProbeCheck& check = *view.check;
    if (check.type == "pulse" && !key.empty() && SameText(check.pulse_key, key)) {
      token = check.token;
    }
  }
  return token;
}

absl::Status PulsesIn::Pulse(const HttpRequest& request, absl::string_view token,
                             absl::string_view key, bool failed, absl::string_view message) {
  const absl::Status status = probes_.Pulse(token, key, failed, OneLine(message, kMessageBytesMax));
  if (absl::IsNotFound(status) && refused_) refused_(request.peer);
  return status;
}

HttpResponse PulsesIn::Updown(const HttpRequest& request) {
  const absl::string_view token = request.path[1];
  const absl::string_view key = request.path[2];
  const std::string& what = request.path.size() > 3 ? request.path[3] : std::string();
  bool failed = what == "fail";
  std::string message = request.body;
  int exit_code = 0;
  if (absl::SimpleAtoi(what, &exit_code) && exit_code >= 0 && exit_code <= 255) {
    failed = exit_code != 0;
    if (failed) {
      message = absl::StrCat("exit code ", exit_code, message.empty() ? "" : ": ", message);
    }
  } else if (what == "start" || what == "log") {
    // It only begins: that is no sign of life yet. Whether the key is right must still be said.
    const auto view = probes_.Find(token);
    const bool known = view.has_value() && view->check->token == token &&
                       view->check->type == "pulse" && SameText(view->check->pulse_key, key);
    if (!known && refused_) refused_(request.peer);
    return known ? Plain(200, absl::StrCat("OK: ", RandomUuid())) : Plain(404, "Not found\n");
  } else if (!what.empty() && what != "fail") {
    return Plain(404, "Not found\n");
  }
  if (failed && message.empty()) message = "the sender says that it failed";
  const absl::Status status = Pulse(request, token, key, failed, message);
  if (absl::IsNotFound(status)) return Plain(404, "Not found\n");
  if (!status.ok()) return Plain(503, "try again\n");
  return Plain(200, absl::StrCat("OK: ", RandomUuid()));
}

HttpResponse PulsesIn::Kuma(const HttpRequest& request) {
  const std::string& key = request.path[2];
  const absl::string_view said = request.argument("status");
  const bool failed = !said.empty() && said != "up";
  absl::string_view message = request.argument("msg");
  if (failed && message.empty()) message = "the sender says that it is down";
  const absl::Status status = Pulse(request, TokenOfKey(key), key, failed, message);
  if (status.ok()) return Json(200, R"({"ok":true})");
  return Json(absl::IsNotFound(status) ? 404 : 503,
              R"({"ok":false,"msg":"Monitor not found or not active."})");
}

HttpResponse PulsesIn::Gatus(const HttpRequest& request) {
  const std::string& name = request.path[3];
  absl::string_view key = request.header("authorization");
  constexpr absl::string_view kBearer = "Bearer ";
  key = absl::StartsWithIgnoreCase(key, kBearer)
            ? absl::StripAsciiWhitespace(key.substr(kBearer.size()))
            : absl::string_view();
  // GROUP_NAME, as Gatus makes it of a name; a token or a name of ours will do too.
  std::optional<ProbeView> view = probes_.Find(name);
  if (!view.has_value()) view = probes_.Find(name.substr(name.find('_') + 1));
  std::string token = view.has_value() ? view->check->token : TokenOfKey(name);
  if (!view.has_value() && key.empty()) key = name;
  const bool failed = !absl::EqualsIgnoreCase(request.argument("success"), "true");
  absl::string_view message = request.argument("error");
  if (failed && message.empty()) message = "the sender says that it failed";
  const absl::Status status = Pulse(request, token, key, failed, message);
  if (status.ok()) return Plain(200, "");
  return Plain(absl::IsNotFound(status) ? 404 : 503, "not found\n");
}

std::vector<Routes::Route> PulsesIn::MakeRoutes() {
  const auto at = [this](const char* pattern, const char* help,
                         HttpResponse (PulsesIn::*answer)(const HttpRequest&)) {
    Routes::Route route;
    route.pattern = pattern;
    route.help = help;
    route.answer = [this, answer](const HttpRequest& request) { return (this->*answer)(request); };
    route.methods = {"POST", "PUT"};
    return route;
  };
  return {
      at("/pulse/*/*",
         "heartbeats in, as updown.io, healthchecks.io, Uptime Kuma and Gatus take them",
         &PulsesIn::Updown),
      at("/pulse/*/*/*", "", &PulsesIn::Updown),
      at("/api/push/*", "", &PulsesIn::Kuma),
      at("/api/v1/endpoints/*/external", "", &PulsesIn::Gatus),
  };
}

}  // namespace fleet::collector
