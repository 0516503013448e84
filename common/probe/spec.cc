#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/probe/probe.h"
#include "common/probe/run.h"
#include "common/probe/url.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr std::array<std::pair<Kind, absl::string_view>, 6> kKinds = {{
    {Kind::kHttp, "http"},
    {Kind::kTcp, "tcp"},
    {Kind::kTls, "tls"},
    {Kind::kIcmp, "icmp"},
    {Kind::kDns, "dns"},
    {Kind::kWebSocket, "websocket"},
}};
constexpr std::array<absl::string_view, 10> kDnsTypes = {"A",   "AAAA", "CNAME", "MX",  "NS",
                                                         "TXT", "SOA",  "SRV",   "CAA", "PTR"};
constexpr size_t kPatternBytesMax = 4096;
constexpr size_t kHeadersMax = 64;
constexpr size_t kStepsMax = 32;
constexpr size_t kTargetBytesMax = 4096;

absl::Status Invalid(absl::string_view a, absl::string_view b = "", absl::string_view c = "") {
  return absl::InvalidArgumentError(absl::StrCat(a, b, c));
}

absl::Status CheckPattern(absl::string_view what, const std::string& pattern) {
  if (pattern.empty()) return absl::OkStatus();  // not worth compiling for every probe
  if (pattern.size() > kPatternBytesMax) return Invalid(what, ": the pattern is too long");
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 compiled(pattern, options);
  if (compiled.ok()) return absl::OkStatus();
  return Invalid(absl::StrCat(what, ": ", Quote(pattern)), " is no pattern: ", compiled.error());
}

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", static_cast<char>(c));
  });
}

/// Refuses what would end a header early and begin another.
bool IsHeaderText(absl::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

absl::Status CheckHeaders(const std::vector<std::pair<std::string, std::string>>& headers) {
  if (headers.size() > kHeadersMax) return Invalid("more than 64 headers");
  for (const auto& [name, value] : headers) {
    if (!IsToken(name)) return Invalid("no header name: ", Quote(name));
    if (!IsHeaderText(value)) return Invalid("header ", name, " has a line break");
  }
  return absl::OkStatus();
}

absl::Status CheckHttp(const HttpSpec& spec) {
  if (!IsToken(spec.method)) return Invalid("no method: ", Quote(spec.method));
  FLEET_RETURN_IF_ERROR(CheckHeaders(spec.headers));
  if (!IsHeaderText(spec.bearer_token)) return Invalid("the bearer token has a line break");
  for (const HeaderRule& rule : spec.header_rules) {
    if (!IsToken(rule.name)) return Invalid("no header name: ", Quote(rule.name));
    FLEET_RETURN_IF_ERROR(CheckPattern(absl::StrCat("header ", rule.name), rule.pattern));
  }
  FLEET_RETURN_IF_ERROR(CheckPattern("body", spec.body_matches));
  FLEET_RETURN_IF_ERROR(CheckPattern("body", spec.body_does_not_match));
  for (const StatusRange& range : spec.valid_status) {
    if (range.first < 100 || range.last > 599 || range.first > range.last) {
      return Invalid("statuses are from 100 to 599");
    }
  }
  if (spec.redirects_max < 0 || spec.redirects_max > 50) {
    return Invalid("redirects are from 0 to 50");
  }
  return absl::OkStatus();
}

absl::Status CheckUrl(const Spec& spec, absl::string_view plain, absl::string_view tls) {
  const absl::StatusOr<Url> url = ParseUrl(spec.target);
  if (!url.ok()) return url.status();
  if (url->scheme == plain || url->scheme == tls) return absl::OkStatus();
  return Invalid(absl::StrCat("no ", plain, " or ", tls, " URL: ", Quote(spec.target)));
}

absl::Status CheckDns(const DnsSpec& spec) {
  if (spec.name.empty()) return Invalid("nothing is asked of the name server");
  if (std::find(kDnsTypes.begin(), kDnsTypes.end(), spec.type) == kDnsTypes.end()) {
    return Invalid("no record type that is known: ", Quote(spec.type));
  }
  return CheckPattern("answer", spec.answer_matches);
}

absl::Status CheckSteps(const TcpSpec& spec) {
  if (spec.steps.size() > kStepsMax) return Invalid("more than 32 steps");
  for (const TcpStep& step : spec.steps) {
    FLEET_RETURN_IF_ERROR(CheckPattern("expect", step.expect));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view KindName(Kind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "";
}

std::optional<Kind> ParseKind(absl::string_view text) {
  for (const auto& [kind, name] : kKinds) {
    if (name == text) return kind;
  }
  return std::nullopt;
}

absl::Status ValidateSpec(const Spec& spec) {
  if (spec.target.size() > kTargetBytesMax) return Invalid("the target is too long");
  if (!IsHeaderText(spec.target)) return Invalid("no target: ", Quote(spec.target));
  if (spec.timeout < absl::Milliseconds(1) || spec.timeout > absl::Minutes(5)) {
    return Invalid("the timeout must be from 1 ms to 5 min");
  }
  switch (spec.kind) {
    case Kind::kHttp:
      FLEET_RETURN_IF_ERROR(CheckUrl(spec, "http", "https"));
      return CheckHttp(spec.http);
    case Kind::kWebSocket:
      FLEET_RETURN_IF_ERROR(CheckUrl(spec, "ws", "wss"));
      return CheckHeaders(spec.websocket.headers);
    case Kind::kTcp:
    case Kind::kTls:
      if (absl::Status split = SplitHostPort(spec.target).status(); !split.ok()) return split;
      return CheckSteps(spec.tcp);
    case Kind::kIcmp:
      if (spec.target.empty()) return Invalid("no host to ping");
      if (spec.icmp.count < 1 || spec.icmp.count > 100) return Invalid("1 to 100 pings");
      if (spec.icmp.payload_bytes < 0 || spec.icmp.payload_bytes > 1400) {
        return Invalid("0 to 1,400 bytes of payload");
      }
      return absl::OkStatus();
    case Kind::kDns:
      return CheckDns(spec.dns);
  }
  return Invalid("no kind of probe");
}

}  // namespace fleet::probe
