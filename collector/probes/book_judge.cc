// What looks mean: judged, written, told.

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/probes/book.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kIdBytes = 12;
constexpr absl::Duration kTick = absl::Seconds(1);

/// Whether a look at one family found that the name has no address of it, and never had.
bool HasNoSuchFamily(const ProbeEntry& entry, const std::string& vantage, probe::IpFamily family,
                     const probe::Result& result) {
  if (!entry.check->both_families || !absl::StartsWith(result.error, "DNS: no IPv")) return false;
  const auto& lanes = entry.confirmation.memory().lanes;
  const auto lane = lanes.find({vantage, family});
  return lane == lanes.end() || lane->second.streak == 0;
}

}  // namespace

void ProbeBook::Judge(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(queue_mutex_);
      parts_.clock.WaitUntil(queue_mutex_, queue_changed_, stop,
                             SteadyAfter(parts_.clock.SteadyNow(), kTick),
                             [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !queue_.empty(); });
      if (!queue_.empty()) {
        parts_.clock.WaitUntil(queue_mutex_, queue_changed_, stop,
                               SteadyAfter(parts_.clock.SteadyNow(), kLinger),
                               [] { return false; });
      }
    }
    Work(false);
  }
}

void ProbeBook::Work(bool flush) {
  JudgeWaiting(flush);
  MutexLock work(work_mutex_);
  Trim();
}

void ProbeBook::JudgeWaiting(bool flush) {
  MutexLock work(work_mutex_);
  std::deque<Waiting> batch;
  {
    MutexLock lock(queue_mutex_);
    batch.swap(queue_);
  }
  // Of those that have been down for a while, not at each look at others.
  const SteadyTime now = parts_.clock.SteadyNow();
  const bool all =
      flush || now - causes_at_ >= kTick ||
      absl::c_any_of(batch, [](const Waiting& one) { return !one.look.result.success; });
  if (all) causes_at_ = now;
  RefreshCauses(batch, all);
  Outcome outcome;
  {
    MutexLock lock(mutex_);
    for (Waiting& waiting : batch) Apply(std::move(waiting), outcome);
    if (all) FindCauses(outcome);
  }
  Write(outcome, flush);
  Publish(outcome);
}

/// Asks for the causes of all that fails, without a lock of ours: whoever answers has its own.
void ProbeBook::RefreshCauses(const std::deque<Waiting>& batch, bool all) {
  if (!parts_.cause || !all) return;
  std::set<std::string> parents;
  {
    MutexLock lock(mutex_);
    for (const Waiting& waiting : batch) {
      const auto found = entries_.find(waiting.look.token);
      if (found != entries_.end() && !waiting.look.result.success) {
        parents.insert(found->second.check->parent);
      }
    }
    for (const auto& [token, entry] : entries_) {
      if (entry.open.has_value() && entry.open->caused_by.empty()) {
        parents.insert(entry.check->parent);
      }
    }
  }
  parents.erase("");
  std::map<std::string, std::string> causes;
  for (const std::string& parent : parents) causes[parent] = parts_.cause(parent);
  MutexLock lock(mutex_);
  causes_ = std::move(causes);
}

void ProbeBook::Apply(Waiting waiting, Outcome& outcome) {
  const auto found = entries_.find(waiting.look.token);
  if (found == entries_.end()) return;
  ProbeEntry& entry = found->second;
  const ProbeCheck& check = *entry.check;
  const std::string& vantage = waiting.look.vantage;
  if (!check.enabled || (!waiting.pulse && !LooksFrom(check, vantage))) return;
  ++facts_.looks;
  entry.cached.reset();
  if (!check.both_families) waiting.family = probe::IpFamily::kAny;
  probe::Result& result = waiting.look.result;
  if (HasNoSuchFamily(entry, vantage, waiting.family, result)) {
    result.unknown = UnknownKind::kBlind;
  }
  const absl::Time now = parts_.clock.Now();
  const absl::Duration age = now - result.start;
  const absl::Duration horizon = Confirmation::Horizon(entry.Rule());
  // What comes late tells how it was, not how it is.
  const bool fresh = age <= horizon && age >= -horizon;
  if (fresh) {
    retired_.erase(vantage);
    outcome.changed = outcome.changed || !entry.unwatched.empty();
    entry.unwatched.clear();
  }
  if (result.unknown != UnknownKind::kNone) {
    ++facts_.blind;
    if (fresh) Confirm(entry, waiting, outcome);
    return;
  }
  const ProbeMetrics counted = CountLook(result);
  counts_[{waiting.look.token, vantage, HourOf(result.start)}].Add(counted);
  if (entry.Count(result.start, counted) && fresh) {
    WatchPerformance(entry, HourOf(result.start), outcome);
  }
  if (!fresh) return;
  outcome.changed = outcome.changed || entry.last_check_at == absl::InfinitePast();
  entry.last_check_at = std::max(entry.last_check_at, result.start);
  entry.dirty = true;
  if (waiting.pulse && result.success) entry.last_pulse = result.start;
  if (waiting.pulse) outcome.heard.insert(check.token);
  // Two failures alike say nothing of how the two are answered when it works.
  if (result.head_agrees.has_value() && (result.success || !*result.head_agrees)) {
    entry.head_agrees = result.head_agrees;
    if (!*entry.head_agrees && parts_.plans_changed) parts_.plans_changed();
  }
  if (IsLeading(check, vantage)) {
    entry.last_status = result.status > 0 ? std::optional<int>(result.status) : std::nullopt;
    for (const auto& [name, value] : result.reported) entry.reported[name] = value;
    if (result.tls.has_value()) WatchTls(entry, *result.tls, outcome);
  }
  entry.See({result.start, vantage, result.success, result.method, result.status, result.address,
             result.timings.total, result.error});
  Confirm(entry, waiting, outcome);
  if (!waiting.pulse) {
    entry.samples[{vantage, waiting.family}] = {std::move(waiting.look.result.samples),
                                                parts_.clock.SteadyNow()};
  }
}

void ProbeBook::Confirm(ProbeEntry& entry, const Waiting& waiting, Outcome& outcome) {
  const probe::Result& result = waiting.look.result;
  const ConfirmRule rule = entry.Rule();
  ConfirmLook look;
  look.vantage = waiting.look.vantage;
  look.family = waiting.family;
  look.kind = result.unknown != UnknownKind::kNone ? LookKind::kBlind
              : result.success                     ? LookKind::kUp
                                                   : LookKind::kDown;
  look.time = result.start;
  look.error = result.error;
  const bool hurried = entry.confirmation.hurried(rule);
  const Turned turned = entry.confirmation.Look(look, rule);
  if (entry.confirmation.hurried(rule) != hurried && parts_.plans_changed) parts_.plans_changed();
  switch (turned.turn) {
    case Turn::kNone:
      break;
    case Turn::kDown:
      GoDown(entry, turned, outcome);
      break;
    case Turn::kUp:
      GoUp(entry, turned, outcome);
      break;
    case Turn::kStillDown: {
      if (!entry.open.has_value()) break;
      ProbeEvent event;
      event.kind = "check.still_down";
      event.downtime = entry.open;
      Tell(entry, std::move(event), outcome);
      break;
    }
  }
  if (look.kind == LookKind::kUp && !entry.check->notice.empty() && !entry.notice_said &&
      !entry.confirmation.down()) {
    const auto lane = entry.confirmation.memory().lanes.find({look.vantage, look.family});
    if (lane != entry.confirmation.memory().lanes.end() && lane->second.streak >= rule.looks) {
      entry.notice_said = true;
      ProbeEvent event;
      event.kind = "check.notice";
      Tell(entry, std::move(event), outcome);
    }
  }
  if (waiting.pulse || !entry.confirmation.hurried(rule)) return;
  const absl::Duration wait = result.start + rule.period / 2 - parts_.clock.Now();
  const SteadyTime when = SteadyAfter(parts_.clock.SteadyNow(), wait);
  MutexLock lock(schedule_mutex_);
  for (const probe::IpFamily family : FamiliesOf(*entry.check)) {
    schedule_.Hurry({entry.check->token, family}, when);
  }
  ++schedule_version_;
  schedule_changed_.notify_all();
}

void ProbeBook::GoDown(ProbeEntry& entry, const Turned& turned, Outcome& outcome) {
  outcome.changed = true;
  const ProbeCheck& check = *entry.check;
  outcome.turned.insert(check.token);
  if (!check.notice.empty()) {
    entry.notice_said = false;
    outcome.batch.states[check.token] = entry.ToState(parts_.clock.Now());
    return;
  }
  Downtime downtime;
  downtime.id = absl::BytesToHexString(SecureRandom(kIdBytes));
  downtime.token = check.token;
  downtime.error = turned.error;
  downtime.started_at = turned.at;
  if (const auto cause = causes_.find(check.parent); cause != causes_.end()) {
    downtime.caused_by = cause->second;
  }
  downtime.down_looks.assign(entry.seen.begin(), entry.seen.end());
  entry.open = downtime;
  entry.downs.push_back({downtime.started_at});
  outcome.batch.downtimes[downtime.id] = downtime;
  outcome.batch.states[check.token] = entry.ToState(parts_.clock.Now());
  ProbeEvent event;
  event.kind = "check.down";
  event.downtime = std::move(downtime);
  Tell(entry, std::move(event), outcome);
}

void ProbeBook::EndDowntime(ProbeEntry& entry, absl::Time at, ProbeBatch& batch) {
  Downtime& downtime = *entry.open;
  downtime.ended_at = std::max(at, downtime.started_at);
  downtime.partial = entry.confirmation.partial();
  for (DownSpan& span : entry.downs) {
    if (span.ended_at == absl::InfiniteFuture()) span.ended_at = *downtime.ended_at;
  }
  batch.downtimes[downtime.id] = downtime;
  entry.open.reset();
}

void ProbeBook::GoUp(ProbeEntry& entry, const Turned& turned, Outcome& outcome) {
  outcome.changed = true;
  const std::string token = entry.check->token;
  outcome.turned.insert(token);
  if (entry.open.has_value()) {
    ProbeEvent event;
    event.kind = "check.up";
    event.downtime = entry.open;
    event.downtime->ended_at = std::max(turned.at, entry.open->started_at);
    event.downtime->partial = entry.confirmation.partial();
    entry.open->up_looks.assign(entry.seen.begin(), entry.seen.end());
    EndDowntime(entry, turned.at, outcome.batch);
    Tell(entry, std::move(event), outcome);
  }
  if (entry.check->mute_until == "recovery") {
    entry.mute_over = true;
    if (!entry.check->from_config) {
      ProbeCheck check = *entry.check;
      check.mute_until.clear();
      outcome.redefined.push_back(check);
      entry.check = std::make_shared<const ProbeCheck>(std::move(check));
    }
  }
  outcome.batch.states[token] = entry.ToState(parts_.clock.Now());
}

void ProbeBook::WatchTls(ProbeEntry& entry, const probe::TlsFacts& facts, Outcome& outcome) {
  for (ProbeEvent& event :
       WatchCertificate(facts, parts_.clock.Now(), entry.check->certificate_days, entry.tls)) {
    outcome.changed = true;
    outcome.batch.states[entry.check->token] = entry.ToState(parts_.clock.Now());
    Tell(entry, std::move(event), outcome);
  }
}

/// `hour` has begun: the one before it is judged.
void ProbeBook::WatchPerformance(ProbeEntry& entry, absl::Time hour, Outcome& outcome) {
  const absl::Time judged = hour - absl::Hours(1);
  if (judged <= entry.performance_hour || entry.hours.rbegin()->first != hour) return;
  entry.performance_hour = judged;
  std::vector<std::pair<absl::Time, ProbeMetrics>> hours;
  for (const auto& [start, metrics] : entry.hours) {
    if (start <= judged && start > judged - absl::Hours(6)) hours.emplace_back(start, metrics);
  }
  const std::optional<int> drop = PerformanceDrop(hours, entry.check->apdex_t);
  if (!drop.has_value()) return;
  ProbeEvent event;
  event.kind = "check.performance_drop";
  event.apdex_dropped_percent = *drop;
  for (const auto& [start, metrics] : hours) {
    event.apdex_by_hour.emplace_back(start, *metrics.Apdex(entry.check->apdex_t));
  }
  outcome.batch.states[entry.check->token] = entry.ToState(parts_.clock.Now());
  Tell(entry, std::move(event), outcome);
}

/// The cause of a downtime may be known later than the downtime: a host is silent only after a
/// while.
void ProbeBook::FindCauses(Outcome& outcome) {
  const absl::Time now = parts_.clock.Now();
  for (auto& [token, entry] : entries_) {
    if (!entry.open.has_value() || !entry.open->caused_by.empty() ||
        now - entry.open->started_at > kCauseWait + entry.check->period) {
      continue;
    }
    const auto cause = causes_.find(entry.check->parent);
    if (cause == causes_.end() || cause->second.empty()) continue;
    entry.open->caused_by = cause->second;
    outcome.batch.downtimes[entry.open->id] = *entry.open;
    outcome.turned.insert(token);
    outcome.changed = true;
  }
}

/// Puts an event among what is to be written, unless the probe is muted.
void ProbeBook::Tell(ProbeEntry& entry, ProbeEvent event, Outcome& outcome) {
  event.time = parts_.clock.Now();
  event.token = entry.check->token;
  // As it will stand once this is written.
  std::optional<Downtime> told = entry.open;
  std::swap(entry.shown, told);
  entry.cached.reset();
  event.view = View(entry);
  std::swap(entry.shown, told);
  entry.cached.reset();
  outcome.news.push_back(event);
  if (entry.Muted(event.time)) return;
  outcome.batch.events.push_back(std::move(event));
}

// ---- writing --------------------------------------------------------------------------------

/// Adds the counts, and the states that changed: those where something is about to happen, or all.
void ProbeBook::Gather(Outcome& outcome, bool all_states) {
  outcome.batch.counts = counts_;
  const absl::Time now = parts_.clock.Now();
  for (auto& [token, entry] : entries_) {
    // Until when we listened is part of what is known of a pulse.
    entry.dirty |= all_states && entry.IsPulse();
    const bool asked =
        all_states || outcome.heard.contains(token) || entry.confirmation.hurried(entry.Rule());
    if (!entry.dirty || !asked) continue;
    outcome.batch.states.try_emplace(token, entry.ToState(now));
    entry.dirty = false;
  }
}

void ProbeBook::Write(Outcome& outcome, bool flush) {
  const SteadyTime now = parts_.clock.SteadyNow();
  const bool urgent =
      !outcome.batch.downtimes.empty() || !outcome.batch.events.empty() || !outcome.heard.empty();
  const bool due = flush || now - flushed_at_ >= kFlushEvery;
  const bool all_states = flush || now - states_at_ >= kStatesEvery;
  if (urgent || due) {
    MutexLock lock(mutex_);
    Gather(outcome, all_states);
  }
  for (auto& [id, downtime] : outcome.batch.downtimes) unwritten_.downtimes[id] = downtime;
  for (auto& [token, state] : outcome.batch.states) unwritten_.states[token] = state;
  size_t lost = 0;
  for (ProbeEvent& event : outcome.batch.events) {
    if (unwritten_.events.size() < kUnwrittenEventsMax) {
      unwritten_.events.push_back(std::move(event));
    } else {
      ++lost;
    }
  }
  unwritten_.counts = std::move(outcome.batch.counts);
  absl::Status status;
  if ((urgent || due) && !unwritten_.empty()) {
    status = store_->Commit(unwritten_, [this] {
      MutexLock lock(mutex_);
      counts_.clear();
    });
    if (status.ok()) unwritten_ = {};
  }
  for (const ProbeCheck& check : outcome.redefined) status.Update(store_->PutCheck(check));
  if (due) flushed_at_ = now;
  // The turn of all states is over only when they were gathered.
  if (all_states && (urgent || due)) states_at_ = now;
  MutexLock lock(mutex_);
  facts_.events_dropped += lost;
  if (!status.ok()) {
    ++facts_.write_errors;
    if (!facts_.failing) log::Error("probes cannot be written", {{"error", status}});
  }
  if (urgent || due) facts_.failing = !status.ok();
}

void ProbeBook::Publish(Outcome& outcome) {
  {
    MutexLock lock(mutex_);
    for (const std::string& token : outcome.turned) {
      const auto found = entries_.find(token);
      if (found == entries_.end()) continue;
      found->second.shown = found->second.open;
      found->second.cached.reset();
    }
  }
  for (const ProbeEvent& event : outcome.news) Note(event);
  if (outcome.changed) Changed();
}

void ProbeBook::Note(const ProbeEvent& event) {
  if (parts_.events == nullptr) return;
  Event line;
  line.time = event.time;
  line.subject = absl::StrCat("probe/", event.view.check->name);
  line.kind = event.kind.substr(event.kind.find('.') + 1);
  if (event.kind == "check.down" || event.kind == "check.up") {
    const Downtime& downtime = *event.downtime;
    const bool down = event.kind == "check.down";
    line.from = down ? "up" : "down";
    line.to = down ? "down" : "up";
    line.text = down
                    ? downtime.error
                    : absl::StrCat("after ",
                                   absl::FormatDuration(absl::Floor(
                                       *downtime.ended_at - downtime.started_at, absl::Seconds(1))),
                                   ": ", downtime.error);
    if (!downtime.caused_by.empty()) {
      absl::StrAppend(&line.text, " (caused by ", downtime.caused_by, ")");
    }
  } else if (event.kind == "check.notice") {
    line.text = event.view.check->notice;
  } else if (event.kind == "check.performance_drop") {
    line.text = absl::StrCat("apdex dropped ", event.apdex_dropped_percent, "%");
  } else if (event.kind == "check.ssl_expiration") {
    line.text = absl::StrCat("expires in ", event.days_before_expiration, " days");
  } else {
    line.text = event.ssl_error;
  }
  parts_.events->Append(std::move(line));
}

void ProbeBook::Trim() {
  const SteadyTime now = parts_.clock.SteadyNow();
  if (now - trimmed_at_ < kTrimEvery) return;
  trimmed_at_ = now;
  const absl::Status status = store_->Trim(parts_.clock.Now());
  MutexLock lock(mutex_);
  if (!status.ok()) ++facts_.write_errors;
  for (auto& [token, entry] : entries_) entry.Forget(parts_.clock.Now());
}

}  // namespace fleet::collector
