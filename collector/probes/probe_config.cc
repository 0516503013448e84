#include "collector/probes/probe_config.h"

#include <re2/re2.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/config.h"
#include "collector/probes/probe_spec.h"
#include "common/escape.h"
#include "common/host_name.h"

namespace fleet::collector {
namespace {

constexpr absl::Duration kPeriodMin = absl::Seconds(1);
constexpr absl::Duration kPeriodMax = absl::Hours(24 * 35);
constexpr absl::Duration kTimeoutMax = absl::Seconds(60);
// What stands for a setting that is not set.
constexpr absl::string_view kUnset = "unset";
constexpr size_t kPulseKeyBytesMin = 8;
constexpr size_t kNameBytesMax = 200;
constexpr uint32_t kRedirectsMax = 50;
constexpr int kTokenAttempts = 1'000;

/// Reads one entry of `probes`.
class ProbeReader {
 public:
  ProbeReader(const v1::CollectorConfig& config, const v1::ProbeConfig& from, std::string at,
              ConfigLoader& loader)
      : settings_(config.settings()), from_(from), at_(std::move(at)), loader_(loader) {}

  ProbeCheck Read() {
    check_.from_config = true;
    ReadWords();
    ReadWhen();
    ReadWho();
    ReadSecrets();
    ReadExpect(from_.expect());
    ReadTalk();
    for (const ProbeProblem& problem : DeriveSpec(check_)) {
      Problem(ConfigField(problem.field), problem.message);
    }
    CheckFits();
    if (check_.alias.empty()) check_.alias = check_.name;
    if (!unset_.empty()) {
      check_.unset = absl::StrCat(absl::StrJoin(unset_, ", "),
                                  unset_.size() == 1 ? " is not set" : " are not set");
    }
    return std::move(check_);
  }
  /// The settings that it needs and that are empty, when it was read.
  const std::set<std::string>& unset() const { return unset_; }

 private:
  void Problem(absl::string_view key, const std::string& message) {
    loader_.AddProblem(absl::StrCat(at_, ".", key), message);
  }

  /// What updown calls otherwise than collector.yaml does.
  static std::string ConfigField(const std::string& field) {
    if (field == "http_verb") return "method";
    if (field == "http_body") return "body";
    return field == "custom_headers" ? "headers" : field;
  }

  /// `text` with what `settings` says in place of each "${name}".
  std::string Filled(absl::string_view key, absl::string_view text) {
    std::string out;
    while (true) {
      const size_t begin = text.find("${");
      const size_t end = begin == absl::string_view::npos ? begin : text.find('}', begin);
      if (end == absl::string_view::npos) break;
      absl::StrAppend(&out, text.substr(0, begin));
      const std::string name(text.substr(begin + 2, end - begin - 2));
      text.remove_prefix(end + 1);
      const auto found = settings_.find(name);
      if (found == settings_.end()) {
        Problem(key, absl::StrCat("settings has no ", Quote(name)));
      } else if (found->second.empty()) {
        unset_.insert(absl::StrCat("settings.", name));
        absl::StrAppend(&out, kUnset);
      } else {
        out += found->second;
      }
    }
    return absl::StrCat(out, text);
  }

  std::string Pattern(absl::string_view key, const std::string& text) {
    std::string filled = Filled(key, text);
    const re2::RE2 pattern(filled, re2::RE2::Quiet);
    if (!pattern.ok()) Problem(key, absl::StrCat("no regular expression: ", pattern.error()));
    return filled;
  }

  void ReadWords() {
    check_.name = from_.name();
    check_.token = from_.token();
    check_.alias = from_.alias();
    check_.type = from_.type();
    check_.url = Filled("url", from_.url());
    // The whole of it is a setting: what it will be is most likely a URL.
    if (check_.url == kUnset) check_.url = absl::StrCat("https://", kUnset, "/");
    check_.string_match = Filled("string_match", from_.string_match());
    check_.component = from_.component();
    check_.notice = from_.notice();
    check_.module = from_.module();
    check_.published = !from_.has_published() || from_.published();
    check_.enabled = !from_.has_enabled() || from_.enabled();
    check_.mute_until = from_.mute_until();
    check_.recipients.assign(from_.recipients().begin(), from_.recipients().end());
    if (!check_.token.empty() && !IsProbeToken(check_.token)) {
      Problem("token", absl::StrCat("expected up to 16 lower-case letters and digits, not ",
                                    Quote(check_.token)));
    }
    if (check_.type == "pulse" && check_.name.empty()) Problem("name", "a pulse needs one");
    if (check_.name.size() > kNameBytesMax) {
      Problem("name", absl::StrCat("expected at most ", kNameBytesMax, " bytes"));
    }
  }

  void ReadWhen() {
    if (from_.has_period()) {
      check_.period = absl::Seconds(from_.period());
      if (check_.period < kPeriodMin || check_.period > kPeriodMax) {
        Problem("period", "expected 1s to 35d");
      }
    }
    if (from_.has_apdex_t()) check_.apdex_t = from_.apdex_t();
    if (from_.has_timeout()) {
      check_.spec.timeout = absl::Seconds(from_.timeout());
      if (check_.spec.timeout <= absl::ZeroDuration() || check_.spec.timeout > kTimeoutMax) {
        Problem("timeout", "expected more than 0s and at most 60s");
      }
    } else {
      check_.spec.timeout = std::min(check_.spec.timeout, check_.period);
    }
    for (const uint32_t days : from_.certificate_days()) {
      if (days == 0 || days > 1'000) Problem("certificate_days", "expected 1 to 1000");
      check_.certificate_days.push_back(static_cast<int>(days));
    }
  }

  void ReadWho() {
    for (const std::string& vantage : from_.vantages()) {
      if (vantage != "all" && vantage != "collector" && !IsHostName(vantage)) {
        Problem("vantages",
                absl::StrCat("expected all, collector or a host, not ", Quote(vantage)));
      }
      check_.vantages.push_back(vantage);
    }
    check_.vantages_down = static_cast<int>(from_.vantages_down());
    if (from_.has_vantages_down() && from_.vantages_down() == 0) {
      Problem("vantages_down", "expected 1 or more");
    }
    check_.parent = from_.parent();
    if (!check_.parent.empty() && !IsParent(check_.parent)) {
      Problem("parent",
              absl::StrCat(Quote(check_.parent), ": expected host, host/check or host/check/item"));
    }
    const std::string& ip = from_.ip();
    if (ip == "4" || ip == "6") {
      check_.spec.family = ip == "4" ? probe::IpFamily::kIpv4 : probe::IpFamily::kIpv6;
      check_.spec.family_fallback = false;
    } else if (ip == "both") {
      check_.both_families = true;
      check_.spec.family_fallback = false;
    } else if (!ip.empty() && ip != "any") {
      Problem("ip", absl::StrCat("expected any, 4, 6 or both, not ", Quote(ip)));
    }
  }

  std::string Secret(absl::string_view key, const std::string& path) {
    if (path.empty()) return {};
    absl::StatusOr<std::string> secret = ReadSecretFile(path);
    if (secret.ok()) return *std::move(secret);
    Problem(key, std::string(secret.status().message()));
    return {};
  }

  void ReadSecrets() {
    probe::HttpSpec& http = check_.spec.http;
    http.user = from_.user();
    http.password = Secret("password_file", from_.password_file());
    http.bearer_token = Secret("bearer_token_file", from_.bearer_token_file());
    check_.pulse_key = Secret("key_file", from_.key_file());
    if (!check_.pulse_key.empty() && check_.pulse_key.size() < kPulseKeyBytesMin) {
      Problem("key_file", absl::StrCat("expected at least ", kPulseKeyBytesMin, " characters"));
    }
    if (!from_.user().empty() && !from_.bearer_token_file().empty()) {
      Problem("bearer_token_file", "either a user or a token, not both");
    }
    probe::TlsSpec& tls = check_.spec.tls;
    tls.verify = !from_.has_verify_tls() || from_.verify_tls();
    tls.server_name = from_.server_name();
    tls.ca_file = from_.ca();
    if (!tls.ca_file.empty() && ::access(tls.ca_file.c_str(), R_OK) != 0) {
      Problem("ca", absl::StrCat("cannot read ", Quote(tls.ca_file)));
    }
  }

  void ReadStatus(const std::string& text) {
    probe::HttpSpec& http = check_.spec.http;
    if (text == "any") {
      http.any_status = true;
      return;
    }
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(text, absl::MaxSplits('-', 1));
    probe::StatusRange range{0, 0};
    const bool first = absl::SimpleAtoi(ends.first, &range.first);
    range.last = range.first;
    const bool last = ends.second.empty() || absl::SimpleAtoi(ends.second, &range.last);
    if (!first || !last || range.first < 100 || range.last > 599 || range.last < range.first) {
      Problem("expect.status", absl::StrCat("expected 200, 200-299 or any, not ", Quote(text)));
    }
    http.valid_status.push_back(range);
    // Who expects a redirect wants to see it.
    if (range.first < 400 && range.last >= 300) http.redirects_max = 0;
  }

  void ReadExpect(const v1::ProbeExpectConfig& expect) {
    probe::Spec& spec = check_.spec;
    probe::HttpSpec& http = spec.http;
    if (expect.state() == "closed") {
      spec.tcp.expect_closed = true;
    } else if (!expect.state().empty() && expect.state() != "open") {
      Problem("expect", absl::StrCat("expected open or closed, not ", Quote(expect.state())));
    }
    for (const std::string& status : expect.status()) ReadStatus(status);
    http.body_contains = Filled("expect.body", expect.body());
    http.body_matches = Pattern("expect.body_matches", expect.body_matches());
    http.body_does_not_match = Pattern("expect.body_does_not_match", expect.body_does_not_match());
    for (const auto& [name, pattern] : Sorted(expect.headers())) {
      http.header_rules.push_back({name, Pattern("expect.headers", pattern), true, false});
    }
    for (const auto& [name, pattern] : Sorted(expect.headers_not())) {
      http.header_rules.push_back({name, Pattern("expect.headers_not", pattern), false, true});
    }
    if (!expect.location().empty()) {
      http.header_rules.push_back(
          {"Location", Pattern("expect.location", expect.location()), true, true});
    }
    for (const auto& [path, value] : Sorted(expect.json())) {
      probe::JsonRule rule{path, std::nullopt};
      if (value != "*") rule.equals = Filled("expect.json", value);
      http.json_rules.push_back(std::move(rule));
    }
    http.final_url = Filled("expect.final_url", expect.final_url());
    spec.dns.valid_rcodes.assign(expect.rcodes().begin(), expect.rcodes().end());
    spec.dns.answer_matches = Pattern("expect.answer", expect.answer());
    const auto positive = [this](bool has, double value, const char* key) {
      if (has && !(value > 0)) Problem(key, "expected more than 0s");
      return has ? absl::Seconds(value) : absl::ZeroDuration();
    };
    spec.latency_max = positive(expect.has_latency(), expect.latency(), "expect.latency");
    spec.tls.expires_within_fail =
        positive(expect.has_certificate(), expect.certificate(), "expect.certificate");
    if (expect.has_loss()) spec.icmp.loss_max = expect.loss();
  }

  template <typename Map>
  static std::vector<std::pair<std::string, std::string>> Sorted(const Map& map) {
    std::vector<std::pair<std::string, std::string>> sorted(map.begin(), map.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }

  void ReadTalk() {
    for (const auto& [name, value] : from_.headers()) {
      check_.custom_headers[name] = Filled(absl::StrCat("headers.", name), value);
    }
    if (!from_.method().empty()) check_.http_verb = absl::AsciiStrToUpper(from_.method());
    check_.http_body = Filled("body", from_.body());
    probe::HttpSpec& http = check_.spec.http;
    http.report_headers.assign(from_.report_headers().begin(), from_.report_headers().end());
    if (from_.has_redirects()) {
      http.redirects_max = static_cast<int>(from_.redirects());
      if (from_.redirects() > kRedirectsMax) {
        Problem("redirects", absl::StrCat("expected at most ", kRedirectsMax));
      }
    }
    if (!from_.starttls().empty()) {
      check_.spec.tcp.steps = StartTlsSteps(from_.starttls());
      if (check_.spec.tcp.steps.empty()) {
        Problem("starttls", absl::StrCat("expected smtp, imap, pop3 or postgres, not ",
                                         Quote(from_.starttls())));
      }
    }
    for (const v1::ProbeStepConfig& step : from_.steps()) {
      check_.spec.tcp.steps.push_back(
          {Sent(step), Pattern("steps", step.expect()), step.starttls()});
    }
  }

  std::string Sent(const v1::ProbeStepConfig& step) {
    const std::string& hex = step.send_hex();
    if (hex.empty()) return step.send();
    if (!step.send().empty()) Problem("steps", "either send or send_hex");
    if (hex.size() % 2 != 0 ||
        !absl::c_all_of(hex, [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
      Problem("steps", absl::StrCat("expected pairs of hexadecimal digits, not ", Quote(hex)));
      return "";
    }
    return absl::HexStringToBytes(hex);
  }

  /// Rules that its kind of probe would never look at are mistakes.
  void CheckFits() {
    const std::string& type = check_.type;
    const bool http = type == "http" || type == "https";
    const bool tcp = type == "tcp" || type == "tcps";
    const probe::HttpSpec& rules = check_.spec.http;
    const auto only = [&](bool fits, bool used, absl::string_view key, absl::string_view of) {
      if (used && !fits) Problem(key, absl::StrCat("is for ", of, " only"));
    };
    const v1::ProbeExpectConfig& expect = from_.expect();
    only(http, expect.status_size() > 0, "expect.status", "http and https");
    only(http,
         !rules.body_contains.empty() || !rules.body_matches.empty() ||
             !rules.body_does_not_match.empty() || !rules.json_rules.empty() ||
             !rules.header_rules.empty() || !rules.final_url.empty(),
         "expect", "http and https");
    only(http, !rules.report_headers.empty(), "report_headers", "http and https");
    only(type == "tcp", check_.spec.tcp.expect_closed, "expect", "tcp");
    only(tcp, !from_.steps().empty(), "steps", "tcp and tcps");
    only(type == "tcp", !from_.starttls().empty(), "starttls", "tcp");
    only(type == "dns", !expect.answer().empty() || expect.rcodes_size() > 0, "expect", "dns");
    if (!check_.string_match.empty() && expect.status_size() > 0) {
      Problem("string_match", "either this or expect.status");
    }
  }

  const google::protobuf::Map<std::string, std::string>& settings_;
  const v1::ProbeConfig& from_;
  const std::string at_;
  ConfigLoader& loader_;
  std::set<std::string> unset_;
  ProbeCheck check_;
};

/// A target that stands for any of that type; empty: there is no such type of module.
std::string AnyTarget(const std::string& type) {
  if (type == "http" || type == "https") return type + "://module.invalid/";
  if (type == "ws" || type == "wss") return type + "://module.invalid/";
  if (type == "tcp" || type == "tcps") return type + "://module.invalid:1";
  return type == "icmp" ? "module.invalid" : "";
}

/// Gives a token to those that have none, clear of all that were given.
void GiveTokens(std::vector<ProbeCheck>& checks, std::set<std::string>& taken) {
  for (ProbeCheck& check : checks) {
    for (int attempt = 0; check.token.empty() && attempt < kTokenAttempts; ++attempt) {
      std::string token = TokenFor(check.name, attempt);
      if (taken.insert(token).second) check.token = std::move(token);
    }
  }
}

}  // namespace

std::vector<ProbeCheck> ReadProbes(const v1::CollectorConfig& config, ConfigLoader& loader) {
  std::vector<ProbeCheck> checks;
  std::set<std::string> names;
  std::set<std::string> tokens;
  if (static_cast<size_t>(config.probes_size()) > Probes::kChecksMax) {
    loader.AddProblem("probes", absl::StrCat("expected at most ", Probes::kChecksMax));
    return checks;
  }
  std::map<std::string, std::string> waiting;  // by setting: the names of those that need it
  for (int i = 0; i < config.probes_size(); ++i) {
    const std::string at = absl::StrCat("probes[", i, "]");
    ProbeReader reader(config, config.probes(i), at, loader);
    ProbeCheck check = reader.Read();
    if (!check.name.empty() && !names.insert(check.name).second) {
      loader.AddProblem(at + ".name", absl::StrCat("another probe is called ", Quote(check.name)));
    }
    if (!check.token.empty() && !tokens.insert(check.token).second) {
      loader.AddProblem(at + ".token", absl::StrCat("another probe has ", Quote(check.token)));
    }
    for (const std::string& setting : reader.unset()) {
      std::string& text = waiting[setting];
      absl::StrAppend(&text, text.empty() ? "" : ", ", check.name);
    }
    checks.push_back(std::move(check));
  }
  GiveTokens(checks, tokens);
  for (const auto& [setting, who] : waiting) {
    loader.AddNote(setting, absl::StrCat("not set: not run without it: ", who));
  }
  return checks;
}

std::map<std::string, probe::Spec> ReadProbeModules(const v1::CollectorConfig& config,
                                                    ConfigLoader& loader) {
  std::map<std::string, probe::Spec> modules;
  for (const auto& [name, from] : config.probe_modules()) {
    const std::string at = absl::StrCat("probe_modules.", name);
    v1::ProbeConfig module = from;
    if (from.type() != "dns") {
      if (!from.url().empty()) loader.AddProblem(at + ".url", "a module has no url");
      module.set_url(AnyTarget(from.type()));
      if (module.url().empty()) {
        loader.AddProblem(at, "expected a type: http, tcp, tcps, icmp, dns or ws");
        continue;
      }
    }
    // As blackbox_exporter asks where nothing else is said.
    if (module.method().empty()) module.set_method("GET");
    probe::Spec spec = ProbeReader(config, module, at, loader).Read().spec;
    if (from.ip().empty()) spec.family = probe::IpFamily::kIpv6;
    if (!from.has_timeout()) spec.timeout = kTimeoutMax;
    spec.target.clear();
    modules[name] = std::move(spec);
  }
  return modules;
}

}  // namespace fleet::collector
