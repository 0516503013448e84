#include "collector/probes/probe_entry.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "collector/probes/probe_rows.h"

namespace fleet::collector {
namespace {

constexpr double kSlow = 0.8;        // an apdex below
constexpr int64_t kSlowAnswers = 5;  // fewer do not make an hour slow

/// Only of what was answered: what was not is told as a downtime, not once more as slowness.
bool IsSlow(const ProbeMetrics& hour, double apdex_t) {
  ProbeMetrics answers = hour;
  answers.samples -= answers.failures;
  return answers.samples >= kSlowAnswers && answers.Apdex(apdex_t).value_or(1) < kSlow;
}

}  // namespace

ConfirmRule ProbeEntry::Rule() const {
  ConfirmRule rule;
  rule.period = check->period;
  rule.vantages_down = check->vantages_down;
  // Who did not call in time has been given all the time already.
  if (IsPulse()) rule.looks = 1;
  return rule;
}

bool ProbeEntry::Muted(absl::Time now) const {
  const std::string& until = check->mute_until;
  if (until.empty()) return false;
  if (until == "forever") return true;
  if (until == "recovery") return !mute_over;
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, until, &time, &error) && now < time;
}

bool ProbeEntry::Knows(absl::string_view vantage) const {
  const auto is_its = [&](const auto& named) { return named.first.first == vantage; };
  return absl::c_any_of(samples, is_its) || absl::c_any_of(confirmation.memory().lanes, is_its);
}

ProbeStatus ProbeEntry::Status(absl::Time now) const {
  ProbeStatus status;
  const ConfirmRule rule = Rule();
  status.last_status = last_status;
  status.uptime = UptimePercent(downs, now - kUptimeSpan, now);
  status.down = shown.has_value();
  status.pending = last_check_at == absl::InfinitePast();
  status.last_check_at = last_check_at;
  status.reported = reported;
  status.muted = Muted(now);
  status.failing_vantages = confirmation.failing_vantages(rule, now);
  status.vantages = std::max(1, confirmation.seeing_vantages(rule, now));
  if (tls.facts.has_value()) status.tls = tls.facts;
  status.tls_tested_at = tls.tested_at;
  const bool failing = confirmation.down();
  status.expected_failure = failing && !check->notice.empty();
  if (!failing) status.up_since = confirmation.since();
  if (status.down) {
    status.down_since = shown->started_at;
    status.caused_by = shown->caused_by;
    status.error = confirmation.error().empty() ? shown->error : confirmation.error();
    status.up_since = absl::InfinitePast();
  } else if (status.expected_failure) {
    status.error = confirmation.error();
  }
  std::string blind = check->unset.empty() ? confirmation.blind(rule, now) : check->unset;
  if (!unwatched.empty()) {
    blind = unwatched;
    status.vantages = 0;
  }
  if (!blind.empty() && check->enabled) {
    status.blind = true;
    status.error = blind;
  }
  if (const auto hour = hours.find(HourOf(now)); hour != hours.end()) {
    status.slow = IsSlow(hour->second, check->apdex_t);
  }
  return status;
}

const ProbeStatus& ProbeEntry::RecentStatus(absl::Time now) const {
  if (!cached.has_value() || now < cached_at || now - cached_at >= kCachedFor) {
    cached = Status(now);
    cached_at = now;
  }
  return *cached;
}

v1::StoredState ProbeEntry::ToState(absl::Time now) const {
  v1::StoredState state;
  fleet::collector::ToStored(confirmation.memory(), state);
  if (open.has_value()) state.set_downtime(open->id);
  *state.mutable_tls() = fleet::collector::ToStored(tls);
  state.set_notice_said(notice_said);
  state.set_has_last_status(last_status.has_value());
  state.set_last_status(last_status.value_or(0));
  state.set_last_check(ToMicros(last_check_at));
  state.set_last_pulse(ToMicros(last_pulse));
  state.mutable_reported()->insert(reported.begin(), reported.end());
  if (head_agrees.has_value()) {
    state.set_compared_url(check->url);
    state.set_head_agrees(*head_agrees);
  }
  for (const SeenLook& look : seen) *state.add_seen() = fleet::collector::ToStored(look);
  state.set_written(ToMicros(now));
  state.set_mute_over(mute_over);
  state.set_performance_hour(ToMicros(performance_hour));
  return state;
}

void ProbeEntry::Restore(const v1::StoredState& state) {
  confirmation.Restore(FromStored(state));
  tls = FromStored(state.tls());
  notice_said = state.notice_said();
  if (state.has_last_status()) last_status = state.last_status();
  last_check_at = FromMicros(state.last_check());
  last_pulse = FromMicros(state.last_pulse());
  known_until = FromMicros(state.written());
  reported.insert(state.reported().begin(), state.reported().end());
  if (!check->url.empty() && state.compared_url() == check->url) head_agrees = state.head_agrees();
  for (const v1::StoredLook& look : state.seen()) See(FromStored(look));
  mute_over = state.mute_over();
  performance_hour = FromMicros(state.performance_hour());
}

probe::Spec ProbeEntry::NextSpec() const {
  probe::Spec spec = check->spec;
  if (spec.http.head_first) {
    spec.http.head_first = head_agrees.value_or(true);
    spec.http.compare_head = !head_agrees.has_value();
  }
  return spec;
}

void ProbeEntry::See(SeenLook look) {
  seen.push_back(std::move(look));
  if (seen.size() > SeenLook::kKept) seen.pop_front();
}

bool ProbeEntry::Count(absl::Time time, const ProbeMetrics& look) {
  const auto [found, added] = hours.try_emplace(HourOf(time));
  found->second.Add(look);
  while (hours.size() > kHoursKept) hours.erase(hours.begin());
  return added;
}

void ProbeEntry::Forget(absl::Time now) {
  std::erase_if(downs, [now](const DownSpan& span) { return span.ended_at < now - kUptimeSpan; });
}

bool LooksFrom(const ProbeCheck& check, absl::string_view vantage) {
  if (absl::c_linear_search(check.disabled_locations, vantage)) return false;
  if (check.vantages.empty()) return !check.from_config || vantage == kCollectorVantage;
  return absl::c_linear_search(check.vantages, "all") ||
         absl::c_linear_search(check.vantages, vantage);
}

bool IsLeading(const ProbeCheck& check, absl::string_view vantage) {
  if (LooksFrom(check, kCollectorVantage)) return vantage == kCollectorVantage;
  for (const std::string& listed : check.vantages) {
    if (LooksFrom(check, listed)) return listed == "all" || listed == vantage;
  }
  return true;
}

std::vector<probe::IpFamily> FamiliesOf(const ProbeCheck& check) {
  if (check.both_families) return {probe::IpFamily::kIpv4, probe::IpFamily::kIpv6};
  return {probe::IpFamily::kAny};
}

}  // namespace fleet::collector
