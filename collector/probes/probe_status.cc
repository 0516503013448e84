#include "collector/probes/probe_status.h"

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::collector {
namespace {

constexpr absl::Duration kCertificateWarn = absl::Hours(24 * 7);
constexpr size_t kReasonBytesMax = 1024;

double Seconds(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

std::string Clean(absl::string_view text) { return OneLine(text, kReasonBytesMax); }

}  // namespace

ProbeVerdict JudgeProbe(const ProbeView& view, absl::Time now) {
  const ProbeStatus& status = view.status;
  const ProbeCheck& check = *view.check;
  if (!check.enabled) return {Verdict::kOk, {}, "disabled"};
  if (status.down) return {Verdict::kCrit, {}, Clean(status.error)};
  if (status.blind) return {Verdict::kUnknown, UnknownKind::kBlind, Clean(status.error)};
  if (status.expected_failure) {
    return {Verdict::kOk, {}, absl::StrCat("known to fail: ", Clean(status.error))};
  }
  if (status.pending) {
    return {Verdict::kOk,
            {},
            check.type == "pulse" ? "waits for its first pulse" : "not looked at yet"};
  }
  if (status.tls.has_value()) {
    const absl::Duration left = status.tls->certificate.not_after - now;
    if (left <= absl::ZeroDuration()) {
      return {Verdict::kWarn, {}, absl::StrCat("certificate ended ", HumanDuration(-left), " ago")};
    }
    if (left < kCertificateWarn) {
      return {Verdict::kWarn, {}, absl::StrCat("certificate ends in ", HumanDuration(left))};
    }
  }
  if (status.slow)
    return {Verdict::kWarn, {}, "slow: the apdex of this hour's answers is below 0.8"};
  if (status.failing_vantages > 0 && status.vantages > 1) {
    return {
        Verdict::kOk,
        {},
        absl::StrCat("fails from ", status.failing_vantages, " of ", status.vantages, " vantages")};
  }
  return {};
}

void FillProbe(const ProbeView& view, absl::Time now, v1::ProbeState& out) {
  const ProbeStatus& status = view.status;
  const ProbeCheck& check = *view.check;
  const ProbeVerdict judged = JudgeProbe(view, now);
  out.set_name(Clean(check.name));
  out.set_token(check.token);
  out.set_verdict(static_cast<v1::Verdict>(judged.verdict));
  out.set_unknown(static_cast<v1::UnknownKind>(judged.unknown));
  out.set_reason(judged.reason);
  out.set_down(status.down);
  out.set_uptime_percent(status.uptime);
  out.set_caused_by(Clean(status.caused_by));
  out.set_url(Clean(check.url));
  out.set_type(check.type);
  out.set_down_since_seconds(status.down ? Seconds(status.down_since) : 0);
  out.set_up_since_seconds(Seconds(status.up_since));
  out.set_last_look_age_seconds(status.last_check_at == absl::InfinitePast()
                                    ? -1
                                    : absl::ToDoubleSeconds(now - status.last_check_at));
  out.set_period_seconds(absl::ToDoubleSeconds(check.period));
  out.set_vantages(static_cast<uint32_t>(status.vantages));
  out.set_failing_vantages(static_cast<uint32_t>(status.failing_vantages));
  out.set_muted(status.muted);
  out.set_enabled(check.enabled);
  out.set_from_config(check.from_config);
  out.set_notice(Clean(check.notice));
  out.set_last_status(status.last_status.value_or(0));
  if (status.tls.has_value()) {
    out.set_certificate_end_seconds(Seconds(status.tls->certificate.not_after));
  }
  for (const auto& [name, value] : status.reported) {
    (*out.mutable_reported())[Clean(name)] = Clean(value);
  }
}

void FillDowntime(const Downtime& downtime, absl::string_view probe, v1::DowntimeRecord& out) {
  out.set_id(downtime.id);
  out.set_token(downtime.token);
  out.set_probe(Clean(probe));
  out.set_error(Clean(downtime.error));
  out.set_started_seconds(Seconds(downtime.started_at));
  out.set_ended_seconds(downtime.ended_at.has_value() ? Seconds(*downtime.ended_at) : 0);
  out.set_partial(downtime.partial.value_or(false));
  out.set_caused_by(Clean(downtime.caused_by));
}

}  // namespace fleet::collector
