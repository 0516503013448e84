#include "common/probe/plan.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/probe/look_report.h"
#include "common/status_macros.h"
#include "fleet/v1/probe.pb.h"

namespace fleet::probe {
namespace {

uint32_t FamilyNumber(IpFamily family) {
  switch (family) {
    case IpFamily::kIpv4:
      return 4;
    case IpFamily::kIpv6:
      return 6;
    case IpFamily::kAny:
      break;
  }
  return 0;
}

absl::StatusOr<IpFamily> FamilyOf(uint32_t number) {
  if (number == 0) return IpFamily::kAny;
  if (number == 4) return IpFamily::kIpv4;
  if (number == 6) return IpFamily::kIpv6;
  return absl::InvalidArgumentError(absl::StrCat("family: expected 0, 4 or 6, got ", number));
}

/// A span that came as seconds.
absl::StatusOr<absl::Duration> SpanOf(absl::string_view field, double seconds, absl::Duration min,
                                      absl::Duration max) {
  if (std::isfinite(seconds) && seconds >= absl::ToDoubleSeconds(min) &&
      seconds <= absl::ToDoubleSeconds(max)) {
    return absl::Seconds(seconds);
  }
  return absl::InvalidArgumentError(absl::StrCat(field, ": expected ", absl::FormatDuration(min),
                                                 " to ", absl::FormatDuration(max), ", got ",
                                                 seconds, " s"));
}

using Headers = std::vector<std::pair<std::string, std::string>>;

void HeadersToProto(const Headers& headers,
                    google::protobuf::RepeatedPtrField<v1::ProbeHeader>& message) {
  for (const auto& [name, value] : headers) {
    v1::ProbeHeader& header = *message.Add();
    header.set_name(name);
    header.set_value(value);
  }
}

Headers HeadersFromProto(const google::protobuf::RepeatedPtrField<v1::ProbeHeader>& message) {
  Headers headers;
  headers.reserve(static_cast<size_t>(message.size()));
  for (const v1::ProbeHeader& header : message) headers.emplace_back(header.name(), header.value());
  return headers;
}

void HttpToProto(const HttpSpec& http, v1::ProbeHttp& message) {
  message.set_method(http.method);
  message.set_head_first(http.head_first);
  HeadersToProto(http.headers, *message.mutable_headers());
  message.set_body(http.body);
  for (const StatusRange& range : http.valid_status) {
    v1::ProbeStatusRange& status = *message.add_valid_status();
    status.set_first(range.first);
    status.set_last(range.last);
  }
  message.set_any_status(http.any_status);
  message.set_redirects_max(http.redirects_max);
  message.set_body_contains(http.body_contains);
  message.set_body_matches(http.body_matches);
  message.set_body_does_not_match(http.body_does_not_match);
  for (const HeaderRule& rule : http.header_rules) {
    v1::ProbeHeaderRule& header = *message.add_header_rules();
    header.set_name(rule.name);
    header.set_pattern(rule.pattern);
    header.set_must_match(rule.must_match);
    header.set_allow_missing(rule.allow_missing);
  }
  for (const JsonRule& rule : http.json_rules) {
    v1::ProbeJsonRule& json = *message.add_json_rules();
    json.set_path(rule.path);
    if (rule.equals.has_value()) json.set_equals(*rule.equals);
  }
  for (const std::string& name : http.report_headers) message.add_report_headers(name);
  message.set_final_url(http.final_url);
  message.set_fail_if_tls(http.fail_if_tls);
  message.set_fail_if_not_tls(http.fail_if_not_tls);
  message.set_user(http.user);
  message.set_password(http.password);
  message.set_bearer_token(http.bearer_token);
}

HttpSpec HttpFromProto(const v1::ProbeHttp& message) {
  HttpSpec http;
  if (!message.method().empty()) http.method = message.method();
  http.head_first = message.head_first();
  http.headers = HeadersFromProto(message.headers());
  http.body = message.body();
  for (const v1::ProbeStatusRange& range : message.valid_status()) {
    http.valid_status.push_back({range.first(), range.last()});
  }
  http.any_status = message.any_status();
  http.redirects_max = message.redirects_max();
  http.body_contains = message.body_contains();
  http.body_matches = message.body_matches();
  http.body_does_not_match = message.body_does_not_match();
  for (const v1::ProbeHeaderRule& rule : message.header_rules()) {
    http.header_rules.push_back(
        {rule.name(), rule.pattern(), rule.must_match(), rule.allow_missing()});
  }
  for (const v1::ProbeJsonRule& rule : message.json_rules()) {
    JsonRule& json = http.json_rules.emplace_back();
    json.path = rule.path();
    if (rule.has_equals()) json.equals = rule.equals();
  }
  http.report_headers.assign(message.report_headers().begin(), message.report_headers().end());
  http.final_url = message.final_url();
  http.fail_if_tls = message.fail_if_tls();
  http.fail_if_not_tls = message.fail_if_not_tls();
  http.user = message.user();
  http.password = message.password();
  http.bearer_token = message.bearer_token();
  return http;
}

}  // namespace

std::vector<IpFamily> FamiliesOf(const Planned& planned) {
  if (planned.both_families) return {IpFamily::kIpv4, IpFamily::kIpv6};
  return {planned.spec.family};
}

void ToProto(const Planned& planned, v1::PlannedProbe& message) {
  const Spec& spec = planned.spec;
  message.set_token(planned.token);
  message.set_period_seconds(absl::ToDoubleSeconds(planned.period));
  message.set_both_families(planned.both_families);
  v1::ProbeSpec& out = *message.mutable_spec();
  out.set_kind(std::string(KindName(spec.kind)));
  out.set_target(spec.target);
  out.set_family(FamilyNumber(spec.family));
  out.set_family_fallback(spec.family_fallback);
  out.set_timeout_seconds(absl::ToDoubleSeconds(spec.timeout));
  out.set_latency_max_seconds(absl::ToDoubleSeconds(spec.latency_max));
  if (spec.kind == Kind::kHttp) HttpToProto(spec.http, *out.mutable_http());
  HeadersToProto(spec.websocket.headers, *out.mutable_websocket_headers());
  for (const TcpStep& step : spec.tcp.steps) {
    v1::ProbeTcpStep& tcp = *out.mutable_tcp()->add_steps();
    tcp.set_send(step.send);
    tcp.set_expect(step.expect);
    tcp.set_start_tls(step.start_tls);
  }
  out.mutable_tcp()->set_expect_closed(spec.tcp.expect_closed);
  out.mutable_dns()->set_name(spec.dns.name);
  out.mutable_dns()->set_type(spec.dns.type);
  for (const std::string& rcode : spec.dns.valid_rcodes) {
    out.mutable_dns()->add_valid_rcodes(rcode);
  }
  out.mutable_dns()->set_answer_matches(spec.dns.answer_matches);
  out.mutable_icmp()->set_count(spec.icmp.count);
  out.mutable_icmp()->set_payload_bytes(spec.icmp.payload_bytes);
  out.mutable_icmp()->set_loss_max(spec.icmp.loss_max);
  out.mutable_tls()->set_server_name(spec.tls.server_name);
  out.mutable_tls()->set_verify(spec.tls.verify);
  out.mutable_tls()->set_expires_within_fail_seconds(
      absl::ToDoubleSeconds(spec.tls.expires_within_fail));
}

absl::StatusOr<Planned> FromProto(const v1::PlannedProbe& message) {
  if (message.ByteSizeLong() > kPlannedBytesMax) {
    return absl::ResourceExhaustedError(absl::StrCat("a planned probe of ", message.ByteSizeLong(),
                                                     " bytes, at most ", kPlannedBytesMax));
  }
  Planned planned;
  if (!IsToken(message.token())) {
    return absl::InvalidArgumentError(absl::StrCat("token: ", Quote(message.token()), " is none"));
  }
  planned.token = message.token();
  FLEET_ASSIGN_OR_RETURN(planned.period, SpanOf("period", message.period_seconds(),
                                                kPlannedPeriodMin, kPlannedPeriodMax));
  planned.both_families = message.both_families();
  const v1::ProbeSpec& in = message.spec();
  Spec& spec = planned.spec;
  const std::optional<Kind> kind = ParseKind(in.kind());
  if (!kind.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("kind: ", Quote(in.kind()), " is not known"));
  }
  spec.kind = *kind;
  spec.target = in.target();
  FLEET_ASSIGN_OR_RETURN(spec.family, FamilyOf(in.family()));
  spec.family_fallback = in.family_fallback();
  FLEET_ASSIGN_OR_RETURN(spec.timeout, SpanOf("timeout", in.timeout_seconds(),
                                              absl::Milliseconds(1), kPlannedTimeoutMax));
  FLEET_ASSIGN_OR_RETURN(spec.latency_max, SpanOf("latency_max", in.latency_max_seconds(),
                                                  absl::ZeroDuration(), kPlannedTimeoutMax));
  if (in.has_http()) spec.http = HttpFromProto(in.http());
  spec.websocket.headers = HeadersFromProto(in.websocket_headers());
  for (const v1::ProbeTcpStep& step : in.tcp().steps()) {
    spec.tcp.steps.push_back({step.send(), step.expect(), step.start_tls()});
  }
  spec.tcp.expect_closed = in.tcp().expect_closed();
  spec.dns.name = in.dns().name();
  spec.dns.type = in.dns().type();
  spec.dns.valid_rcodes.assign(in.dns().valid_rcodes().begin(), in.dns().valid_rcodes().end());
  spec.dns.answer_matches = in.dns().answer_matches();
  spec.icmp.count = in.icmp().count();
  spec.icmp.payload_bytes = in.icmp().payload_bytes();
  spec.icmp.loss_max = in.icmp().loss_max();
  spec.tls.server_name = in.tls().server_name();
  spec.tls.verify = in.tls().verify();
  FLEET_ASSIGN_OR_RETURN(spec.tls.expires_within_fail,
                         SpanOf("expires_within_fail", in.tls().expires_within_fail_seconds(),
                                absl::ZeroDuration(), absl::Hours(24 * 3650)));
  return planned;
}

}  // namespace fleet::probe
