#include "collector/probes/probe_route.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/report.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

using probe::Kind;
using probe::Spec;

/// What blackbox_exporter assumes where Prometheus does not say, and what it leaves for the answer.
constexpr absl::Duration kTimeoutDefault = absl::Seconds(120);
constexpr absl::Duration kTimeoutSpare = absl::Milliseconds(500);
constexpr char kTextType[] = "text/plain; version=0.0.4; charset=utf-8";

Spec Module(Kind kind) {
  Spec spec;
  spec.kind = kind;
  // As blackbox_exporter chooses.
  spec.family = probe::IpFamily::kIpv6;
  spec.family_fallback = true;
  spec.timeout = ProbeRoute::kTimeoutMax;
  return spec;
}

Spec Talk(Kind kind, std::vector<probe::TcpStep> steps) {
  Spec spec = Module(kind);
  spec.tcp.steps = std::move(steps);
  return spec;
}

HttpResponse Refuse(int status, absl::string_view text) {
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(text, "\n");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

/// Whether two ways to name a target mean the same one.
bool SameTarget(absl::string_view a, absl::string_view b) {
  for (absl::string_view* text : {&a, &b}) {
    if (!absl::ConsumePrefix(text, "http://")) absl::ConsumePrefix(text, "tcp://");
    absl::ConsumeSuffix(text, "/");
  }
  return a == b;
}

absl::Status SetHostName(const std::string& name, Spec& spec) {
  if (spec.kind == Kind::kHttp) {
    for (const auto& [key, value] : spec.http.headers) {
      if (absl::EqualsIgnoreCase(key, "host") && value != name) {
        return absl::InvalidArgumentError(
            absl::StrCat("host header defined both in module configuration (", value,
                         ") and with URL-parameter 'hostname' (", OneLine(name), ")"));
      }
    }
    spec.http.headers.emplace_back("Host", name);
  } else if (spec.tls.server_name.empty()) {
    spec.tls.server_name = name;
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> TimeoutOf(const HttpRequest& request, absl::Duration module) {
  const absl::string_view header = request.header("x-prometheus-scrape-timeout-seconds");
  double seconds = absl::ToDoubleSeconds(kTimeoutDefault);
  if (!header.empty() && (!absl::SimpleAtod(header, &seconds) || !(seconds >= 0))) {
    return absl::InternalError(
        absl::StrCat("Failed to parse timeout from Prometheus header: ", Quote(header)));
  }
  if (seconds == 0) seconds = absl::ToDoubleSeconds(kTimeoutDefault);
  absl::Duration timeout = absl::Seconds(seconds);
  if (timeout > kTimeoutSpare) timeout -= kTimeoutSpare;
  return std::max(absl::Milliseconds(1), std::min({timeout, module, ProbeRoute::kTimeoutMax}));
}

std::string EscapeHelp(absl::string_view help) {
  std::string escaped;
  for (const char c : help) {
    if (c == '\\' || c == '\n') escaped += c == '\n' ? "\\n" : "\\\\";
    if (c != '\\' && c != '\n') escaped.push_back(c);
  }
  return escaped;
}

HttpResponse ResultAnswer(const probe::Result& result, const Spec& spec, bool debug) {
  HttpResponse response;
  response.content_type = kTextType;
  response.body = ProbeText(result);
  if (!debug) return response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = absl::StrCat("Logs for the probe:\n", absl::StrJoin(result.log, "\n"),
                               "\n\n\n\nMetrics that would have been returned:\n", response.body,
                               "\n\n\nModule configuration:\nprober: ", probe::KindName(spec.kind),
                               "\ntimeout: ", absl::FormatDuration(spec.timeout), "\n");
  return response;
}

}  // namespace

std::map<std::string, Spec> BuiltinProbeModules() {
  std::map<std::string, Spec> modules;
  modules["http_2xx"] = Module(Kind::kHttp);
  modules["http_post_2xx"] = Module(Kind::kHttp);
  modules["http_post_2xx"].http.method = "POST";
  modules["tcp_connect"] = Module(Kind::kTcp);
  modules["tls_connect"] = modules["tcp_tls"] = Module(Kind::kTls);
  modules["icmp"] = Module(Kind::kIcmp);
  modules["websocket"] = Module(Kind::kWebSocket);
  // That it answers at all: who its root servers are, every resolver can tell.
  modules["dns"] = modules["dns_udp"] = Module(Kind::kDns);
  for (const char* name : {"dns", "dns_udp"}) {
    modules[name].dns.name = ".";
    modules[name].dns.type = "NS";
  }
  modules["pop3s_banner"] = Talk(Kind::kTls, {{"", "^\\+OK"}});
  modules["ssh_banner"] =
      Talk(Kind::kTcp, {{"", "^SSH-2.0-"}, {"SSH-2.0-blackbox-ssh-check\n", ""}});
  modules["irc_banner"] = Talk(Kind::kTcp, {{"NICK prober\n", ""},
                                            {"USER prober prober prober :prober\n", ""},
                                            {"PONG ${1}\n", "PING :([^ ]+)"},
                                            {"", "^:[^ ]+ 001"}});
  modules["smtp_starttls"] = Talk(Kind::kTcp, {{"EHLO prober\r\n", "^220 "},
                                               {"STARTTLS\r\n", "^250 "},
                                               {"", "^220 ", true},
                                               {"EHLO prober\r\n", ""},
                                               {"QUIT\r\n", "^250 "}});
  modules["imap_starttls"] =
      Talk(Kind::kTcp, {{"a001 STARTTLS\r\n", "OK.*STARTTLS"}, {"", "OK", true}});
  modules["redis_ping"] = Talk(Kind::kTcp, {{"PING\r\n", ""}, {"", "^(\\+PONG|-NOAUTH|-ERR)"}});
  // An SSLRequest: PostgreSQL says whether it speaks TLS before anybody logs in.
  modules["postgres"] =
      Talk(Kind::kTcp, {{std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), ""}, {"", "^[SN]$"}});
  return modules;
}

ProbeRoute::ProbeRoute(ProbeRouteOptions options, const Probes* probes, probe::Engine& engine)
    : options_([&] {
        // What is configured comes first.
        options.modules.merge(BuiltinProbeModules());
        return std::move(options);
      }()),
      probes_(probes),
      engine_(engine),
      running_(std::make_shared<std::atomic<size_t>>(0)) {}

std::vector<Routes::Route> ProbeRoute::routes() {
  return {
      {"/probe",
       "one look at a target, as blackbox_exporter: ?target=…&module=http_2xx; ?check=TOKEN asks "
       "as that probe does",
       [this](const HttpRequest& request) { return Answer(request); }}};
}

std::shared_ptr<const ProbeCheck> ProbeRoute::Configured(const std::string& target) const {
  if (probes_ == nullptr) return nullptr;
  for (const ProbeView& view : probes_->List()) {
    const ProbeCheck& check = *view.check;
    if (SameTarget(target, check.url) || SameTarget(target, check.spec.target)) return view.check;
  }
  return nullptr;
}

/// A look at a configured probe: its own question, whatever its kind.
absl::StatusOr<ProbeRoute::Question> ProbeRoute::ReadCheck(const HttpRequest& request,
                                                           absl::string_view name) const {
  const std::optional<ProbeView> view = probes_ == nullptr ? std::nullopt : probes_->Find(name);
  if (!view.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("Unknown check ", Quote(name)));
  }
  const ProbeCheck& check = *view->check;
  if (check.spec.target.empty() || !check.unset.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("The check ", Quote(name),
                     " cannot be asked: ", check.unset.empty() ? "it is a pulse" : check.unset));
  }
  const std::string target(request.argument("target"));
  if (!target.empty() && !SameTarget(target, check.url) && !SameTarget(target, check.spec.target)) {
    return absl::InvalidArgumentError(absl::StrCat("The target of the check ", Quote(name), " is ",
                                                   check.url, ", not ", Quote(target)));
  }
  Question question;
  question.module = check.module;
  question.spec = check.spec;
  if (!check.from_config) question.spec.guard = options_.guard;
  return question;
}

/// A look at a target by a module, as blackbox_exporter takes it.
absl::StatusOr<ProbeRoute::Question> ProbeRoute::ReadTarget(const HttpRequest& request) const {
  Question question;
  std::string target(request.argument("target"));
  const std::shared_ptr<const ProbeCheck> configured = Configured(target);
  question.module = std::string(request.argument("module"));
  if (question.module.empty()) question.module = "http_2xx";
  const auto found = options_.modules.find(question.module);
  if (found != options_.modules.end()) {
    question.spec = found->second;
  } else if (configured != nullptr && configured->module == question.module) {
    question.spec = configured->spec;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("Unknown module ", Quote(question.module)));
  }
  Spec& spec = question.spec;
  if (target.empty()) return absl::InvalidArgumentError("Target parameter is missing");
  if (configured == nullptr && !options_.any_target) {
    return absl::PermissionDeniedError(
        "this target is not one of the configured probes' (http.probe_targets: any allows others)");
  }
  // A probe of the API is anybody's idea too who has a key.
  if (configured == nullptr || !configured->from_config) spec.guard = options_.guard;
  const bool plain = !absl::StartsWith(target, "http://") && !absl::StartsWith(target, "https://");
  if (spec.kind == Kind::kHttp && plain) target = absl::StrCat("http://", target);
  spec.target = std::move(target);
  const std::string host_name(request.argument("hostname"));
  if (!host_name.empty()) {
    if (absl::Status set = SetHostName(host_name, spec); !set.ok()) return set;
  }
  return question;
}

absl::StatusOr<ProbeRoute::Question> ProbeRoute::Read(const HttpRequest& request) const {
  const absl::string_view check = request.argument("check");
  FLEET_ASSIGN_OR_RETURN(Question question,
                         check.empty() ? ReadTarget(request) : ReadCheck(request, check));
  question.debug = question.spec.keep_log = request.argument("debug") == "true";
  FLEET_ASSIGN_OR_RETURN(question.spec.timeout, TimeoutOf(request, question.spec.timeout));
  return question;
}

HttpResponse ProbeRoute::Answer(const HttpRequest& request) {
  absl::StatusOr<Question> question = Read(request);
  if (!question.ok()) {
    const int status = absl::IsInternal(question.status())           ? 500
                       : absl::IsPermissionDenied(question.status()) ? 403
                                                                     : 400;
    return Refuse(status, question.status().message());
  }
  if (++*running_ > kProbesMax) {
    --*running_;
    return Refuse(503, "too many probes at once");
  }
  HttpResponse response;
  response.later = [this, asked = *std::move(question),
                    running = running_](HttpResponse::Answer answer) {
    engine_.Start(asked.spec,
                  [asked, running, answer = std::move(answer)](const probe::Result& result) {
                    --*running;
                    answer(ResultAnswer(result, asked.spec, asked.debug));
                  });
  };
  return response;
}

std::string ProbeText(const probe::Result& result) {
  struct Family {
    const SampleSet::Family* family;
    std::vector<std::string> lines;
  };
  std::map<std::string, Family> families;
  const SampleSet& samples = result.samples;
  for (size_t i = 0; i < samples.size(); ++i) {
    const SampleSet::Family& family = samples.families()[samples.series()[i].family];
    Family& at = families[family.name];
    at.family = &family;
    std::string line = family.name;
    if (!samples.labels(i).empty()) absl::StrAppend(&line, "{", samples.labels(i), "}");
    line.push_back(' ');
    AppendValue(samples.values()[i], line);
    at.lines.push_back(std::move(line));
  }
  std::string text;
  for (auto& [name, family] : families) {
    std::sort(family.lines.begin(), family.lines.end());
    absl::StrAppend(&text, "# HELP ", name, " ", EscapeHelp(family.family->help), "\n# TYPE ", name,
                    " ", MetricTypeName(family.family->type), "\n",
                    absl::StrJoin(family.lines, "\n"), "\n");
  }
  return text;
}

}  // namespace fleet::collector
