#include "common/probe/look_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/labels.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr absl::string_view kPrefix = "probe.";
constexpr size_t kTokenBytesMax = 32;

// Facts of a look travel as samples of these, which never leave the collector: numbers as values,
// texts as labels.
constexpr MetricDesc kNumber = {"fleet_look_number", MetricType::kGauge, "A number of a look."};
constexpr MetricDesc kText = {"fleet_look_text", MetricType::kGauge, "A text of a look."};
constexpr MetricDesc kHeader = {"fleet_look_header", MetricType::kGauge,
                                "A header that was asked for."};

absl::string_view FamilySuffix(IpFamily family) {
  switch (family) {
    case IpFamily::kIpv4:
      return ".ipv4";
    case IpFamily::kIpv6:
      return ".ipv6";
    case IpFamily::kAny:
      break;
  }
  return "";
}

/// The texts of a look, by the name they travel under.
std::vector<std::pair<absl::string_view, std::string*>> TextsOf(Result& result, TlsFacts& tls) {
  return {{"address", &result.address},
          {"method", &result.method},
          {"tls_subject", &tls.certificate.subject},
          {"tls_issuer", &tls.certificate.issuer},
          {"tls_issuer_organization", &tls.certificate.issuer_organization},
          {"tls_algorithm", &tls.certificate.algorithm},
          {"tls_fingerprint", &tls.certificate.fingerprint},
          {"tls_verify", &tls.verify_text},
          {"tls_version", &tls.version}};
}

std::vector<std::pair<absl::string_view, absl::Duration*>> SpansOf(Timings& timings) {
  return {{"redirect", &timings.redirect},     {"namelookup", &timings.namelookup},
          {"connection", &timings.connection}, {"handshake", &timings.handshake},
          {"response", &timings.response},     {"total", &timings.total}};
}

std::vector<std::pair<absl::string_view, absl::Time*>> TimesOf(TlsFacts& tls) {
  return {{"tls_not_before", &tls.certificate.not_before},
          {"tls_not_after", &tls.certificate.not_after},
          {"tls_earliest_expiry", &tls.earliest_expiry}};
}

constexpr double kYear9999 = 253402300799.0;

absl::StatusOr<absl::Time> TimeOf(absl::string_view name, double seconds) {
  if (seconds >= -kYear9999 && seconds <= kYear9999) {
    return absl::UnixEpoch() + absl::Seconds(seconds);
  }
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected seconds since 1970"));
}

absl::StatusOr<int> IntOf(absl::string_view name, double value) {
  if (value >= -1e9 && value <= 1e9 && value == std::trunc(value)) return static_cast<int>(value);
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected a whole number"));
}

/// What FromReport collects before it knows whether there is TLS.
struct Facts {
  std::map<std::string, double, std::less<>> numbers;
  std::map<std::string, std::string, std::less<>> texts;
};

absl::Status TakeSample(const SampleSet& samples, size_t i, Facts& facts, Result& result) {
  const absl::string_view name = samples.name(i);
  if (absl::StartsWith(name, "probe_")) {
    result.samples.AddRaw(samples.families()[samples.series()[i].family], samples.labels(i),
                          samples.values()[i]);
    return absl::OkStatus();
  }
  if (!absl::StartsWith(name, "fleet_look_")) return absl::OkStatus();
  FLEET_ASSIGN_OR_RETURN(const auto labels, ParseLabels(samples.labels(i)));
  const size_t expected = name == kNumber.name ? 1 : 2;
  if (labels.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected ", expected, " labels"));
  }
  if (name == kNumber.name) {
    facts.numbers[labels[0].second] = samples.values()[i];
  } else if (name == kText.name) {
    facts.texts[labels[0].second] = labels[1].second;
  } else if (name == kHeader.name) {
    result.reported.emplace_back(labels[0].second, labels[1].second);
  }
  return absl::OkStatus();
}

absl::Status FillTls(const Facts& facts, TlsFacts& tls) {
  for (auto& [name, time] : TimesOf(tls)) {
    const auto found = facts.numbers.find(name);
    if (found == facts.numbers.end()) {
      return absl::InvalidArgumentError(absl::StrCat("a look with TLS lacks ", name));
    }
    FLEET_ASSIGN_OR_RETURN(*time, TimeOf(name, found->second));
  }
  const auto error = facts.numbers.find("tls_verify_error");
  if (error == facts.numbers.end()) {
    return absl::InvalidArgumentError("a look with TLS lacks tls_verify_error");
  }
  FLEET_ASSIGN_OR_RETURN(tls.verify_error, IntOf("tls_verify_error", error->second));
  return absl::OkStatus();
}

absl::Status FillResult(const Facts& facts, Result& result) {
  for (auto& [name, span] : SpansOf(result.timings)) {
    const auto found = facts.numbers.find(name);
    if (found == facts.numbers.end()) continue;
    if (!(found->second >= 0 && found->second <= 1e6)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": expected seconds from 0 on"));
    }
    *span = absl::Seconds(found->second);
  }
  if (const auto status = facts.numbers.find("status"); status != facts.numbers.end()) {
    FLEET_ASSIGN_OR_RETURN(result.status, IntOf("status", status->second));
  }
  if (const auto family = facts.numbers.find("family"); family != facts.numbers.end()) {
    result.family = family->second == 4   ? IpFamily::kIpv4
                    : family->second == 6 ? IpFamily::kIpv6
                                          : IpFamily::kAny;
  }
  TlsFacts tls;
  for (auto& [name, text] : TextsOf(result, tls)) {
    if (const auto found = facts.texts.find(name); found != facts.texts.end()) {
      *text = found->second;
    }
  }
  if (!facts.numbers.contains("tls_not_after")) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(FillTls(facts, tls));
  result.tls = std::move(tls);
  return absl::OkStatus();
}

}  // namespace

bool IsToken(absl::string_view token) {
  return !token.empty() && token.size() <= kTokenBytesMax &&
         std::all_of(token.begin(), token.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

bool IsLook(absl::string_view check) { return absl::StartsWith(check, kPrefix); }

Report ToReport(const Look& look, absl::Duration period) {
  Result result = look.result;
  Report report;
  report.check = absl::StrCat(kPrefix, look.token, FamilySuffix(look.family));
  report.start = result.start;
  report.duration = result.timings.total;
  report.interval = period;
  report.unknown = result.unknown;
  report.verdict = result.unknown != UnknownKind::kNone ? Verdict::kUnknown
                   : result.success                     ? Verdict::kOk
                                                        : Verdict::kCrit;
  report.success = result.unknown == UnknownKind::kNone;
  report.reason = result.error;
  const auto number = [&report](absl::string_view what, double value) {
    report.samples.Add(kNumber, {{"what", what}}, value);
  };
  for (const auto& [name, span] : SpansOf(result.timings)) {
    number(name, absl::ToDoubleSeconds(*span));
  }
  number("status", result.status);
  number("family", result.family == IpFamily::kIpv4 ? 4 : result.family == IpFamily::kIpv6 ? 6 : 0);
  TlsFacts tls = result.tls.value_or(TlsFacts());
  if (result.tls.has_value()) {
    number("tls_verify_error", tls.verify_error);
    for (const auto& [name, time] : TimesOf(tls)) {
      number(name, absl::ToDoubleSeconds(*time - absl::UnixEpoch()));
    }
  }
  for (const auto& [name, text] : TextsOf(result, tls)) {
    if (!text->empty()) report.samples.Add(kText, {{"what", name}, {"text", *text}}, 1);
  }
  for (const auto& [name, value] : result.reported) {
    report.samples.Add(kHeader, {{"name", name}, {"text", value}}, 1);
  }
  for (size_t i = 0; i < result.samples.size(); ++i) {
    report.samples.AddRaw(result.samples.families()[result.samples.series()[i].family],
                          result.samples.labels(i), result.samples.values()[i]);
  }
  return report;
}

absl::StatusOr<Look> FromReport(const Report& report) {
  const std::vector<absl::string_view> parts = absl::StrSplit(report.check, '.');
  if (parts.size() < 2 || parts.size() > 3 || parts[0] != "probe" || !IsToken(parts[1])) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(report.check), ": expected probe.TOKEN, maybe with .ipv4 or .ipv6"));
  }
  Look look;
  look.token = std::string(parts[1]);
  if (parts.size() == 3) {
    if (parts[2] != "ipv4" && parts[2] != "ipv6") {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(report.check), ": expected .ipv4 or .ipv6 after the token"));
    }
    look.family = parts[2] == "ipv4" ? IpFamily::kIpv4 : IpFamily::kIpv6;
  }
  Result& result = look.result;
  result.start = report.start;
  result.unknown = report.unknown;
  result.success = report.verdict == Verdict::kOk;
  result.error = report.reason;
  Facts facts;
  for (size_t i = 0; i < report.samples.size(); ++i) {
    FLEET_RETURN_IF_ERROR(TakeSample(report.samples, i, facts, result));
  }
  FLEET_RETURN_IF_ERROR(FillResult(facts, result));
  return look;
}

}  // namespace fleet::probe
