#include "collector/updown/options.h"

#include <set>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

constexpr double kPulseSecondsMin = 5;
constexpr double kPulseSecondsMax = 7 * 86'400;

bool IsHttpUrl(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "http://") && !absl::ConsumePrefix(&url, "https://")) return false;
  return !url.empty() && url[0] != '/' &&
         absl::c_all_of(url, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

/// The host of a URL: what it may be called where its path is a secret.
std::string HostOf(absl::string_view url) {
  const size_t start = url.find("://");
  if (start == absl::string_view::npos) return {};
  url.remove_prefix(start + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  const size_t at = url.rfind('@');
  return std::string(at == absl::string_view::npos ? url : url.substr(at + 1));
}

/// A URL that stands in the file itself or in one of its own.
std::string ReadUrl(const std::string& at, const std::string& url, const std::string& file,
                    ConfigLoader& loader) {
  std::string text = url;
  if (!file.empty()) {
    const absl::StatusOr<std::string> read = ReadSecretFile(file);
    if (!read.ok()) {
      loader.AddProblem(absl::StrCat(at, ".url_file"), std::string(read.status().message()));
      return {};
    }
    text = std::string(absl::StripAsciiWhitespace(*read));
  }
  if (url.empty() == file.empty()) {
    loader.AddProblem(at, "expected either url or url_file");
  } else if (!IsHttpUrl(text)) {
    loader.AddProblem(absl::StrCat(at, file.empty() ? ".url" : ".url_file"),
                      "expected a URL that begins with https:// or http://");
  }
  return text;
}

void ReadWebhooks(const v1::CollectorConfig& config, UpdownOptions& options, ConfigLoader& loader) {
  std::set<std::string> urls;
  for (int i = 0; i < config.webhooks_size(); ++i) {
    const v1::WebhookConfig& from = config.webhooks(i);
    const std::string at = absl::StrCat("webhooks[", i, "]");
    WebhookOptions webhook;
    webhook.url = ReadUrl(at, from.url(), from.url_file(), loader);
    webhook.name = from.name().empty() ? HostOf(webhook.url) : from.name();
    if (!from.type().empty()) webhook.type = from.type();
    webhook.ca = from.ca();
    if (webhook.type != "webhook" && webhook.type != "slack_compatible" &&
        webhook.type != "msteams") {
      loader.AddProblem(
          absl::StrCat(at, ".type"),
          absl::StrCat("expected webhook, slack_compatible or msteams, not ", Quote(webhook.type)));
    }
    if (!urls.insert(absl::StrCat(webhook.type, " ", webhook.url)).second) {
      loader.AddProblem(at, "this URL stands here twice");
    }
    options.webhooks.push_back(std::move(webhook));
  }
}

PulseOptions ReadPulse(const std::string& at, const v1::PulseConfig& from, ConfigLoader& loader) {
  PulseOptions pulse;
  pulse.url = ReadUrl(at, from.url(), from.url_file(), loader);
  pulse.name = from.name().empty() ? HostOf(pulse.url) : from.name();
  pulse.ca = from.ca();
  const std::string shape = from.shape().empty() ? "updown" : from.shape();
  bool known = false;
  for (const PulseShape one :
       {PulseShape::kUpdown, PulseShape::kHealthchecks, PulseShape::kKuma, PulseShape::kGatus}) {
    if (PulseShapeName(one) != shape) continue;
    pulse.shape = one;
    known = true;
  }
  if (!known) {
    loader.AddProblem(
        absl::StrCat(at, ".shape"),
        absl::StrCat("expected updown, healthchecks, kuma or gatus, not ", Quote(shape)));
  }
  pulse.method = pulse.shape == PulseShape::kGatus ? "POST" : "GET";
  if (!from.method().empty()) pulse.method = from.method();
  if (pulse.method != "GET" && pulse.method != "POST" && pulse.method != "HEAD") {
    loader.AddProblem(absl::StrCat(at, ".method"),
                      absl::StrCat("expected GET, POST or HEAD, not ", Quote(pulse.method)));
  }
  if (from.has_interval()) {
    if (from.interval() >= kPulseSecondsMin && from.interval() <= kPulseSecondsMax) {
      pulse.interval = absl::Seconds(from.interval());
    } else {
      loader.AddProblem(absl::StrCat(at, ".interval"), "expected 5s to 7d");
    }
  }
  if (!from.bearer_token_file().empty()) {
    const absl::StatusOr<std::string> token = ReadSecretFile(from.bearer_token_file());
    if (token.ok()) {
      pulse.bearer_token = std::string(absl::StripAsciiWhitespace(*token));
    } else {
      loader.AddProblem(absl::StrCat(at, ".bearer_token_file"),
                        std::string(token.status().message()));
    }
  }
  return pulse;
}

}  // namespace

absl::string_view PulseShapeName(PulseShape shape) {
  switch (shape) {
    case PulseShape::kUpdown:
      return "updown";
    case PulseShape::kHealthchecks:
      return "healthchecks";
    case PulseShape::kKuma:
      return "kuma";
    case PulseShape::kGatus:
      return "gatus";
  }
  return "";
}

UpdownOptions ReadUpdown(const v1::CollectorConfig& config, ConfigLoader& loader) {
  UpdownOptions options;
  for (int i = 0; i < config.probes_allow_size(); ++i) {
    const std::vector<std::string> entry = {config.probes_allow(i)};
    const auto parsed = probe::AllowList::Parse(entry);
    if (!parsed.ok()) {
      loader.AddProblem(absl::StrCat("probes_allow[", i, "]"),
                        std::string(parsed.status().message()));
    }
  }
  const std::vector<std::string> entries(config.probes_allow().begin(),
                                         config.probes_allow().end());
  if (const auto list = probe::AllowList::Parse(entries); list.ok()) options.allow = *list;
  ReadWebhooks(config, options, loader);
  for (int i = 0; i < config.pulses_size(); ++i) {
    options.pulses.push_back(ReadPulse(absl::StrCat("pulses[", i, "]"), config.pulses(i), loader));
  }
  options.public_url = config.http().public_url();
  if (!options.public_url.empty() && !IsHttpUrl(options.public_url)) {
    loader.AddProblem("http.public_url", "expected a URL such as https://status.example.org");
  }
  while (absl::EndsWith(options.public_url, "/")) options.public_url.pop_back();
  return options;
}

}  // namespace fleet::collector
