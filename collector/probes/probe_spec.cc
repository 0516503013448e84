#include "collector/probes/probe_spec.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/address.h"
#include "common/escape.h"
#include "common/probe/ip_family.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kUrlBytesMax = 2'048;
constexpr size_t kMatchBytesMax = 1'000;
constexpr size_t kHeadersMax = 50;
constexpr size_t kBodyBytesMax = 64 << 10;
constexpr int kApiPeriods[] = {15, 30, 60, 120, 300, 600, 1800, 3600};
constexpr int kPulsePeriodMin = 15;
constexpr int kPulsePeriodMax = 35 * 86'400;
constexpr double kApdexList[] = {0.125, 0.25, 0.5, 1, 2, 4, 8};
constexpr absl::string_view kVerbs[] = {"GET/HEAD", "GET",   "HEAD",   "POST",
                                        "PUT",      "PATCH", "DELETE", "OPTIONS"};
constexpr absl::string_view kTypes[] = {"https", "http", "icmp", "tcp",  "tcps",
                                        "dns",   "ws",   "wss",  "pulse"};
constexpr absl::string_view kDnsTypes[] = {"A",   "AAAA", "CNAME", "MX",  "NS",
                                           "TXT", "SOA",  "SRV",   "CAA", "PTR"};

/// A URL in its parts; nothing is decoded but `user` and `password`.
struct Url {
  std::string scheme;  // lower case; empty: there was none
  std::string user, password;
  std::string authority;  // host[:port], credentials gone
  std::string rest;       // from the first '/', '?' or '#'
};

std::string PercentDecode(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte)) {
      out.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Url ParseUrl(absl::string_view text) {
  Url url;
  if (const size_t at = text.find("://"); at != absl::string_view::npos) {
    url.scheme = absl::AsciiStrToLower(text.substr(0, at));
    text.remove_prefix(at + 3);
  }
  absl::string_view authority = text.substr(0, text.find_first_of("/?#"));
  url.rest = std::string(text.substr(authority.size()));
  if (const size_t at = authority.rfind('@'); at != absl::string_view::npos) {
    const std::pair<absl::string_view, absl::string_view> both =
        absl::StrSplit(authority.substr(0, at), absl::MaxSplits(':', 1));
    url.user = PercentDecode(both.first);
    url.password = PercentDecode(both.second);
    authority.remove_prefix(at + 1);
  }
  url.authority = std::string(authority);
  return url;
}

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c != 0x7F; });
}

/// A host as a URL has it: a name, an IPv4 address or an IPv6 one in brackets.
bool IsUrlHost(absl::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[') {
    return host.size() > 4 && host.back() == ']' &&
           host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") ==
               absl::string_view::npos;
  }
  // Not only ASCII: names may be international.
  return std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c >= 0x80;
  });
}

bool IsUrlAuthority(absl::string_view authority, bool needs_port) {
  size_t colon = authority.rfind(':');
  if (const size_t end = authority.rfind(']'); end != absl::string_view::npos && colon < end) {
    colon = absl::string_view::npos;
  }
  if (colon == absl::string_view::npos) return !needs_port && IsUrlHost(authority);
  int port = 0;
  return IsUrlHost(authority.substr(0, colon)) &&
         absl::SimpleAtoi(authority.substr(colon + 1), &port) && port > 0 && port < 65'536;
}

/// The host of host[:port], without the brackets of IPv6.
std::string HostOf(absl::string_view authority) {
  if (absl::ConsumePrefix(&authority, "[")) {
    return std::string(authority.substr(0, authority.find(']')));
  }
  return std::string(authority.substr(0, authority.find(':')));
}

class Deriver {
 public:
  explicit Deriver(ProbeCheck& check) : check_(check), spec_(check.spec) {}

  std::vector<ProbeProblem> Run() {
    if (check_.type == "pulse") {
      if (!check_.url.empty()) Problem("url", "a pulse has none: it waits to be called");
      check_.module = "pulse";
      if (check_.name.empty()) check_.name = check_.alias;
      return std::move(problems_);
    }
    if (check_.url.empty()) {
      Problem("url", "can't be blank");
      return std::move(problems_);
    }
    if (check_.url.size() > kUrlBytesMax || !IsPrintable(check_.url)) {
      Problem("url", absl::StrCat("expected at most ", kUrlBytesMax, " characters without blanks"));
      return std::move(problems_);
    }
    url_ = ParseUrl(check_.url);
    ChooseType();
    TakeCredentials();
    if (problems_.empty()) FillKind();
    if (problems_.empty() && !check_.from_config) ChooseFamilies();
    if (check_.name.empty()) check_.name = check_.alias.empty() ? check_.url : check_.alias;
    return std::move(problems_);
  }

 private:
  void Problem(std::string field, std::string message) {
    problems_.push_back({std::move(field), std::move(message)});
  }

  void ChooseType() {
    const std::string by_url = url_.scheme.empty() ? "icmp" : url_.scheme;
    if (std::find(std::begin(kTypes), std::end(kTypes), by_url) == std::end(kTypes)) {
      Problem("url",
              absl::StrCat("is invalid: expected https://, http://, tcp://, tcps://, wss://, "
                           "ws://, dns:// or a bare host, not ",
                           Quote(check_.url)));
      return;
    }
    if (check_.type.empty()) check_.type = by_url;
    if (check_.type != by_url) {
      Problem("type", absl::StrCat("does not match the url (given: ", Quote(check_.type),
                                   ", the url is of ", Quote(by_url), ")"));
    }
  }

  /// As updown does: a name is looked at over IPv4 and IPv6, as far as it has both.
  void ChooseFamilies() {
    const std::string host = url_.scheme.empty() ? check_.url : HostOf(url_.authority);
    check_.both_families = check_.type != "dns" && probe::FamilyOf(host) == probe::IpFamily::kAny;
    spec_.family_fallback = !check_.both_families;
  }

  void TakeCredentials() {
    if (url_.user.empty() && url_.password.empty()) return;
    spec_.http.user = url_.user;
    spec_.http.password = url_.password;
    check_.url = absl::StrCat(url_.scheme, "://", url_.authority, url_.rest);
  }

  void BadUrl(absl::string_view expected) {
    Problem("url", absl::StrCat("is invalid: expected ", expected, ", not ", Quote(check_.url)));
  }

  void FillKind() {
    const std::string& type = check_.type;
    spec_.target = check_.url;
    std::string module = "http_2xx";
    if (type == "http" || type == "https") {
      FillHttp();
    } else if (type == "ws" || type == "wss") {
      module = "websocket";
      spec_.kind = probe::Kind::kWebSocket;
      if (!IsUrlAuthority(url_.authority, false)) BadUrl("a URL such as wss://host/path");
      for (const auto& header : check_.custom_headers) spec_.websocket.headers.push_back(header);
    } else if (type == "tcp" || type == "tcps") {
      module = type == "tcp" ? "tcp_connect" : "tls_connect";
      spec_.kind = type == "tcp" ? probe::Kind::kTcp : probe::Kind::kTls;
      if (!IsUrlAuthority(url_.authority, true) || url_.rest.size() > 1) {
        BadUrl(absl::StrCat(type, "://host:port"));
      }
      spec_.target = url_.authority;
      if (!check_.string_match.empty() && spec_.tcp.steps.empty()) {
        spec_.tcp.steps.push_back({"", QuotePattern(StripMatch(check_.string_match)), false});
      }
    } else if (type == "icmp") {
      module = "icmp";
      spec_.kind = probe::Kind::kIcmp;
      std::string host = url_.authority;
      // An IPv6 address may stand without brackets here.
      if (absl::StrContains(host, "::") && host.front() != '[') host = absl::StrCat("[", host, "]");
      if (!IsUrlHost(host) || !url_.rest.empty()) BadUrl("a bare host for ICMP, or a URL");
      spec_.target = url_.authority;
    } else {
      module = "dns";
      FillDns();
    }
    if (check_.module.empty()) check_.module = std::move(module);
  }

  void FillHttp() {
    probe::HttpSpec& http = spec_.http;
    spec_.kind = probe::Kind::kHttp;
    if (!IsUrlAuthority(url_.authority, false)) BadUrl("a URL such as https://host/path");
    for (const auto& header : check_.custom_headers) http.headers.push_back(header);
    http.body = check_.http_body;
    const absl::string_view match = StripMatch(check_.string_match);
    const int status = ExpectedStatus(match);
    if (status > 0) {
      http.valid_status = {{status, status}};
      // Who expects a redirect wants to see it.
      if (status >= 300 && status < 400) http.redirects_max = 0;
    } else if (!match.empty()) {
      http.any_status = true;
      http.body_contains = std::string(match);
    }
    const bool reads_body = !http.body_contains.empty() || !http.body_matches.empty() ||
                            !http.body_does_not_match.empty() || !http.json_rules.empty();
    if (check_.http_verb == "GET/HEAD") {
      http.method = "GET";
      http.head_first = !reads_body && http.body.empty();
    } else {
      http.method = check_.http_verb;
      if (http.method == "HEAD" && reads_body) Problem("method", "HEAD has no body to look at");
    }
  }

  void FillDns() {
    spec_.kind = probe::Kind::kDns;
    if (!url_.authority.empty() && !IsUrlAuthority(url_.authority, false)) {
      BadUrl("dns://server/name?type=A");
      return;
    }
    spec_.target = url_.authority;
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(url_.rest, absl::MaxSplits('?', 1));
    absl::string_view name = parts.first;
    absl::ConsumePrefix(&name, "/");
    if (name.empty() || absl::StrContains(name, '/')) {
      BadUrl("dns://server/name?type=A");
      return;
    }
    spec_.dns.name = std::string(name);
    for (const absl::string_view argument : absl::StrSplit(parts.second, '&', absl::SkipEmpty())) {
      absl::string_view type = argument;
      const bool known = absl::ConsumePrefix(&type, "type=");
      spec_.dns.type = absl::AsciiStrToUpper(type);
      if (!known || std::find(std::begin(kDnsTypes), std::end(kDnsTypes), spec_.dns.type) ==
                        std::end(kDnsTypes)) {
        Problem("url", absl::StrCat("expected type=", absl::StrJoin(kDnsTypes, "|"), ", not ",
                                    Quote(argument)));
      }
    }
    if (!check_.string_match.empty() && spec_.dns.answer_matches.empty()) {
      spec_.dns.answer_matches = QuotePattern(StripMatch(check_.string_match));
    }
  }

  ProbeCheck& check_;
  probe::Spec& spec_;
  Url url_;
  std::vector<ProbeProblem> problems_;
};

/// "apdex_t" as Rails says it: "Apdex t".
std::string Label(std::string field) {
  std::replace(field.begin(), field.end(), '_', ' ');
  if (!field.empty()) field[0] = absl::ascii_toupper(static_cast<unsigned char>(field[0]));
  return field;
}

bool IsHeader(absl::string_view name, absl::string_view value) {
  return !name.empty() && name.size() + value.size() <= kUrlBytesMax &&
         std::all_of(name.begin(), name.end(),
                     [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                              absl::StrContains("!#$%&'*+-.^_`|~", c);
                     }) &&
         std::all_of(value.begin(), value.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

}  // namespace

std::vector<ProbeProblem> DeriveSpec(ProbeCheck& check) {
  std::vector<ProbeProblem> problems = Deriver(check).Run();
  const auto add = [&problems](std::string field, std::string message) {
    problems.push_back({std::move(field), std::move(message)});
  };
  if (std::find(std::begin(kApdexList), std::end(kApdexList), check.apdex_t) ==
      std::end(kApdexList)) {
    add("apdex_t", absl::StrCat("is not included in the list (given: ", check.apdex_t, ")"));
  }
  if (check.string_match.size() > kMatchBytesMax) {
    add("string_match", absl::StrCat("is too long (maximum is ", kMatchBytesMax, " bytes)"));
  }
  if (std::find(std::begin(kVerbs), std::end(kVerbs), check.http_verb) == std::end(kVerbs)) {
    add("http_verb",
        absl::StrCat("is not included in the list (given: ", Quote(check.http_verb), ")"));
  }
  if (check.http_body.size() > kBodyBytesMax) {
    add("http_body", absl::StrCat("is too long (maximum is ", kBodyBytesMax, " bytes)"));
  }
  if (check.custom_headers.size() > kHeadersMax) {
    add("custom_headers", absl::StrCat("are too many (maximum is ", kHeadersMax, ")"));
  }
  for (const auto& [name, value] : check.custom_headers) {
    if (!IsHeader(name, value)) {
      add("custom_headers", absl::StrCat("has a header that is none (given: ", Quote(name), ")"));
    }
  }
  absl::Time until;
  std::string error;
  if (!check.mute_until.empty() && check.mute_until != "recovery" &&
      check.mute_until != "forever" &&
      !absl::ParseTime(absl::RFC3339_full, check.mute_until, &until, &error)) {
    add("mute_until", absl::StrCat("is invalid: expected a time such as 2026-11-23T16:50:00Z, "
                                   "recovery or forever (given: ",
                                   Quote(check.mute_until), ")"));
  }
  return problems;
}

std::vector<std::string> ApiProblems(const ProbeCheck& check) {
  std::vector<std::string> problems;
  const double seconds = absl::ToDoubleSeconds(check.period);
  const bool listed = check.type == "pulse"
                          ? seconds >= kPulsePeriodMin && seconds <= kPulsePeriodMax
                          : std::find(std::begin(kApiPeriods), std::end(kApiPeriods), seconds) !=
                                std::end(kApiPeriods);
  if (!listed) {
    problems.push_back(absl::StrCat("Period is not included in the list (given: ", seconds, ")"));
  }
  return problems;
}

std::string ApiMessage(const ProbeProblem& problem) {
  return absl::StrCat(Label(problem.field), " ", problem.message);
}

std::string TokenFor(absl::string_view name, int attempt) {
  constexpr absl::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  const std::string hash = Sha256(absl::StrCat(name, "#", attempt));
  std::string token;
  for (size_t i = 0; i < 4; ++i) {
    token.push_back(kAlphabet[static_cast<unsigned char>(hash[i]) % kAlphabet.size()]);
  }
  return token;
}

bool IsProbeToken(absl::string_view text) {
  return !text.empty() && text.size() <= 16 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c);
         });
}

absl::string_view StripMatch(absl::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == absl::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string QuotePattern(absl::string_view text) {
  std::string quoted;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && !absl::ascii_isalnum(byte) && c != '_') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted;
}

int ExpectedStatus(absl::string_view string_match) {
  int status = 0;
  if (string_match.size() != 3 ||
      !std::all_of(string_match.begin(), string_match.end(),
                   [](unsigned char c) { return absl::ascii_isdigit(c); })) {
    return 0;
  }
  return absl::SimpleAtoi(string_match, &status) ? status : 0;
}

std::vector<probe::TcpStep> StartTlsSteps(absl::string_view protocol) {
  constexpr char kSslRequest[] = "\0\0\0\x08\x04\xd2\x16\x2f";
  if (protocol == "smtp") {
    return {{"EHLO fleet\r\n", "^220", false},
            {"STARTTLS\r\n", "^250[ -]STARTTLS", false},
            {"", "^220", true}};
  }
  if (protocol == "imap") return {{". STARTTLS\r\n", "OK", false}, {"", "OK", true}};
  // Its answer is one letter, without a line's end.
  if (protocol == "postgres") {
    return {{std::string(kSslRequest, sizeof(kSslRequest) - 1), "", false}, {"", "^S", true}};
  }
  if (protocol == "pop3") return {{"STLS\r\n", "^\\+OK", false}, {"", "^\\+OK", true}};
  return {};
}

}  // namespace fleet::collector
