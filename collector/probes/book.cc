#include "collector/probes/book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/probes/probe_spec.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr int kTokenTries = 1'000;
constexpr absl::Duration kLookerWait = absl::Seconds(1);

}  // namespace

std::string ProbeBook::MakePulseKey() {
  constexpr absl::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string key;
  for (const char byte : SecureRandom(8)) {
    key.push_back(kAlphabet[static_cast<unsigned char>(byte) % kAlphabet.size()]);
  }
  return key;
}

absl::StatusOr<std::unique_ptr<ProbeBook>> ProbeBook::Start(Options options, Parts parts) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<ProbeStore> store, ProbeStore::Open(options.path));
  std::unique_ptr<ProbeBook> book(
      new ProbeBook(std::move(options), std::move(parts), std::move(store)));
  FLEET_RETURN_IF_ERROR(book->Load());
  if (book->threads_) {
    ProbeBook* self = book.get();
    book->judge_ = std::jthread([self](const std::stop_token& stop) { self->Judge(stop); });
    book->looker_ = std::jthread([self](const std::stop_token& stop) { self->Look(stop); });
  }
  return book;
}

ProbeBook::ProbeBook(Options options, Parts parts, std::unique_ptr<ProbeStore> store)
    : parts_(std::move(parts)),
      threads_(options.threads),
      api_guard_(std::move(options.api_guard)),
      store_(std::move(store)),
      from_config_(std::move(options.checks)),
      schedule_(static_cast<uint64_t>(absl::ToUnixNanos(parts_.clock.Now()))),
      flushed_at_(parts_.clock.SteadyNow()),
      states_at_(flushed_at_),
      trimmed_at_(SteadyAfter(flushed_at_, kFirstTrim - kTrimEvery)) {}

ProbeBook::~ProbeBook() {
  StopLooking();
  judge_ = {};
  Work(true);
}

void ProbeBook::StopLooking() {
  {
    MutexLock lock(schedule_mutex_);
    stopped_ = true;
  }
  looker_.request_stop();
  schedule_changed_.notify_all();
  looker_ = {};
}

void ProbeBook::AddEntry(ProbeCheck check) {
  const std::string token = check.token;
  ProbeEntry& entry = entries_[token];
  entry.check = std::make_shared<const ProbeCheck>(std::move(check));
  order_.push_back(token);
}

// ---- definitions ----------------------------------------------------------------------------

ProbeView ProbeBook::View(const ProbeEntry& entry) const {
  ProbeView view{entry.check, entry.RecentStatus(parts_.clock.Now())};
  MutexLock lock(schedule_mutex_);
  for (const probe::IpFamily family : FamiliesOf(*entry.check)) {
    const std::optional<SteadyTime> next = schedule_.NextOf({entry.check->token, family});
    if (!next.has_value()) continue;
    const absl::Time at = parts_.clock.Now() + (*next - parts_.clock.SteadyNow());
    absl::Time& earliest = view.status.next_check_at;
    if (earliest == absl::InfinitePast() || at < earliest) earliest = at;
  }
  return view;
}

std::vector<ProbeView> ProbeBook::List() const {
  MutexLock lock(mutex_);
  std::vector<ProbeView> views;
  views.reserve(order_.size());
  for (const std::string& token : order_) views.push_back(View(entries_.at(token)));
  return views;
}

std::optional<ProbeView> ProbeBook::Find(absl::string_view token_or_name) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(std::string(token_or_name));
  if (found != entries_.end()) return View(found->second);
  for (const std::string& token : order_) {
    const ProbeEntry& entry = entries_.at(token);
    if (entry.check->name == token_or_name) return View(entry);
  }
  return std::nullopt;
}

std::vector<Vantage> ProbeBook::Vantages() const {
  std::vector<Vantage> all = {{std::string(kCollectorVantage), true, ""}};
  if (!parts_.vantages) return all;
  for (Vantage& vantage : parts_.vantages()) all.push_back(std::move(vantage));
  return all;
}

std::string ProbeBook::FreeToken() const {
  for (int i = 0; i < kTokenTries; ++i) {
    std::string token = TokenFor(SecureRandom(16), i);
    if (entries_.count(token) == 0) return token;
  }
  return "";
}

/// Makes `check` whole, or says what is wrong with it. `before`: what it replaces.
absl::Status ProbeBook::Prepare(ProbeCheck& check, const ProbeCheck* before) {
  probe::Spec spec;
  spec.guard = api_guard_;
  spec.timeout = std::min(spec.timeout, check.period);
  if (before != nullptr) {
    check.created_at = before->created_at;
    check.pulse_key = before->pulse_key;
    if (check.name == before->name) check.name.clear();
    if (check.url != before->url && check.type == before->type && check.type != "pulse") {
      check.type.clear();
    } else if (check.url == before->url) {
      spec.http.user = before->spec.http.user;
      spec.http.password = before->spec.http.password;
    }
  }
  check.spec = std::move(spec);
  check.module.clear();
  check.from_config = false;
  std::vector<std::string> messages;
  for (const ProbeProblem& problem : DeriveSpec(check)) messages.push_back(ApiMessage(problem));
  for (std::string& problem : ApiProblems(check)) messages.push_back(std::move(problem));
  for (const auto& [token, entry] : entries_) {
    if (check.type == "pulse" || token == check.token || entry.check->url != check.url) continue;
    messages.push_back(absl::StrCat("URL is already registered (given: ", Quote(check.url), ")"));
    break;
  }
  if (messages.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(messages, ", "));
}

absl::StatusOr<ProbeView> ProbeBook::Create(ProbeCheck check) {
  MutexLock work(work_mutex_);
  const std::string token = [&] {
    MutexLock lock(mutex_);
    return FreeToken();
  }();
  check.token = token;
  check.created_at = absl::FromUnixSeconds(absl::ToUnixSeconds(parts_.clock.Now()));
  check.pulse_key = MakePulseKey();
  {
    MutexLock lock(mutex_);
    if (entries_.size() >= kChecksMax || token.empty()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("there are ", kChecksMax, " checks already"));
    }
    FLEET_RETURN_IF_ERROR(Prepare(check, nullptr));
  }
  FLEET_RETURN_IF_ERROR(store_->PutCheck(check));
  ProbeView view;
  {
    MutexLock lock(mutex_);
    AddEntry(std::move(check));
    const ProbeEntry& entry = entries_.at(token);
    Schedule(*entry.check, true);
    view = View(entry);
  }
  Changed();
  return view;
}

absl::StatusOr<ProbeView> ProbeBook::Update(ProbeCheck check) {
  MutexLock work(work_mutex_);
  const std::string token = check.token;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(token);
    if (found == entries_.end()) return absl::NotFoundError("no such check");
    if (found->second.check->from_config) {
      return absl::PermissionDeniedError(
          absl::StrCat("the check ", token, " is defined in collector.yaml: change it there"));
    }
    FLEET_RETURN_IF_ERROR(Prepare(check, found->second.check.get()));
  }
  FLEET_RETURN_IF_ERROR(store_->PutCheck(check));
  Outcome outcome;
  {
    MutexLock lock(mutex_);
    ProbeEntry& entry = entries_.at(token);
    entry.cached.reset();
    if (check.mute_until != entry.check->mute_until) entry.mute_over = false;
    const bool at_once = check.url != entry.check->url || !entry.check->enabled;
    if (at_once) entry.seen.clear();
    if (check.url != entry.check->url || check.http_verb != entry.check->http_verb) {
      entry.head_agrees.reset();
    }
    entry.check = std::make_shared<const ProbeCheck>(std::move(check));
    if (at_once || !entry.check->enabled || !LooksFrom(*entry.check, kCollectorVantage)) {
      Unschedule(token);
    }
    if (!entry.check->enabled) {
      // What nobody looks at any more is not down.
      if (entry.open.has_value()) EndDowntime(entry, parts_.clock.Now(), outcome.batch);
      entry.confirmation.Reset();
      entry.samples.clear();
      outcome.batch.states[token] = entry.ToState(parts_.clock.Now());
      outcome.turned.insert(token);
    }
    Schedule(*entry.check, at_once);
  }
  outcome.changed = true;
  Write(outcome, false);
  Publish(outcome);
  MutexLock lock(mutex_);
  return View(entries_.at(token));
}

absl::Status ProbeBook::Remove(absl::string_view token) {
  MutexLock work(work_mutex_);
  const std::string key(token);
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return absl::NotFoundError("no such check");
    if (found->second.check->from_config) {
      return absl::PermissionDeniedError(
          absl::StrCat("the check ", token, " is defined in collector.yaml: remove it there"));
    }
  }
  FLEET_RETURN_IF_ERROR(store_->RemoveCheck(token));
  unwritten_.states.erase(key);
  std::erase_if(unwritten_.downtimes, [&](const auto& entry) { return entry.second.token == key; });
  {
    MutexLock lock(mutex_);
    Unschedule(token);
    entries_.erase(key);
    std::erase(order_, key);
    std::erase_if(counts_, [&](const auto& entry) { return entry.first.token == key; });
  }
  Changed();
  return absl::OkStatus();
}

void ProbeBook::OnChange(std::function<void()> changed) {
  MutexLock lock(changed_mutex_);
  if (changed == nullptr) {
    changed_.clear();
  } else {
    changed_.push_back(std::move(changed));
  }
}

void ProbeBook::Changed() {
  if (parts_.plans_changed) parts_.plans_changed();
  MutexLock lock(changed_mutex_);
  for (const std::function<void()>& changed : changed_) changed();
}

// ---- looking --------------------------------------------------------------------------------

void ProbeBook::Schedule(const ProbeCheck& check, bool at_once,
                         std::optional<absl::Duration> silence) {
  if (!check.enabled || !check.unset.empty()) return;
  const bool pulse = check.type == "pulse";
  if (!pulse && !LooksFrom(check, kCollectorVantage)) return;
  const SteadyTime now = parts_.clock.SteadyNow();
  MutexLock lock(schedule_mutex_);
  for (const probe::IpFamily family : FamiliesOf(check)) {
    const ProbeSchedule::Key key(check.token, family);
    schedule_.Add(key, check.period, at_once && !pulse, now);
    if (pulse) schedule_.Set(key, SteadyAfter(now, silence.value_or(check.period)));
  }
  ++schedule_version_;
  schedule_changed_.notify_all();
}

void ProbeBook::Unschedule(absl::string_view token) {
  MutexLock lock(schedule_mutex_);
  for (const probe::IpFamily family :
       {probe::IpFamily::kAny, probe::IpFamily::kIpv4, probe::IpFamily::kIpv6}) {
    schedule_.Remove({std::string(token), family});
  }
}

void ProbeBook::Look(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(schedule_mutex_);
      const uint64_t seen = schedule_version_;
      const SteadyTime deadline =
          schedule_.next().value_or(SteadyAfter(parts_.clock.SteadyNow(), kLookerWait));
      parts_.clock.WaitUntil(
          schedule_mutex_, schedule_changed_, stop, deadline,
          [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return schedule_version_ != seen || stopped_; });
      if (stopped_) return;
    }
    StartDue();
  }
}

void ProbeBook::StartDue() {
  std::vector<ProbeSchedule::Due> due;
  {
    MutexLock lock(schedule_mutex_);
    if (stopped_) return;
    due = schedule_.TakeDue(parts_.clock.SteadyNow());
  }
  for (const ProbeSchedule::Due& one : due) StartOne(one.key, one.lag);
}

void ProbeBook::StartOne(const ProbeSchedule::Key& key, absl::Duration lag) {
  std::shared_ptr<const ProbeCheck> check;
  probe::Spec spec;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(key.first);
    if (found == entries_.end()) return;
    check = found->second.check;
    spec = found->second.NextSpec();
  }
  Waiting waiting;
  waiting.look.token = key.first;
  waiting.look.vantage = std::string(kCollectorVantage);
  waiting.family = key.second;
  waiting.ours = true;
  if (check->type == "pulse") {
    waiting.pulse = true;
    waiting.look.vantage = std::string(kPulseVantage);
    waiting.look.result.start = parts_.clock.Now() - lag;
    waiting.look.result.error =
        absl::StrCat("no pulse within ", absl::FormatDuration(check->period));
    Push(std::move(waiting));
    return;
  }
  {
    MutexLock lock(schedule_mutex_);
    if (!in_flight_.insert(key).second) {
      ++overrun_;
      return;
    }
  }
  if (check->both_families) spec.family = key.second;
  if (parts_.started) parts_.started(lag);
  parts_.engine.Start(std::move(spec), [this, key, waiting](probe::Result result) mutable {
    {
      MutexLock lock(schedule_mutex_);
      in_flight_.erase(key);
      // What the end of the engine cut off says nothing.
      if (stopped_) return;
    }
    waiting.look.result = std::move(result);
    Push(std::move(waiting));
  });
}

absl::Status ProbeBook::Pulse(absl::string_view token, absl::string_view key, bool failed,
                              absl::string_view message) {
  Waiting waiting;
  waiting.look.token = std::string(token);
  waiting.look.vantage = std::string(kPulseVantage);
  waiting.look.result.start = parts_.clock.Now();
  waiting.look.result.success = !failed;
  if (failed) waiting.look.result.error = message.empty() ? "failed" : OneLine(message);
  waiting.pulse = true;
  absl::Duration period;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(waiting.look.token);
    if (found == entries_.end() || !found->second.IsPulse() ||
        Sha256(found->second.check->pulse_key) != Sha256(key)) {
      return absl::NotFoundError("no such pulse");
    }
    period = found->second.check->period;
  }
  {
    MutexLock lock(schedule_mutex_);
    schedule_.Set({waiting.look.token, probe::IpFamily::kAny},
                  SteadyAfter(parts_.clock.SteadyNow(), period));
    ++schedule_version_;
    schedule_changed_.notify_all();
  }
  Push(std::move(waiting));
  JudgeWaiting(false);  // on the disk before anybody is told that it was heard
  return absl::OkStatus();
}

void ProbeBook::Observe(ProbeLook look) {
  Waiting waiting;
  waiting.family = look.result.family;
  waiting.look = std::move(look);
  Push(std::move(waiting));
}

std::string ProbeBook::Unwatched(const ProbeCheck& check) const {
  // Who else may come and look when nobody is named is not known.
  if (!check.enabled || check.type == "pulse" || check.vantages.empty()) return "";
  std::set<std::string> gone;
  for (const std::string& vantage : check.vantages) {
    if (vantage == "all" || vantage == kCollectorVantage) return "";
    if (!LooksFrom(check, vantage)) continue;
    if (!retired_.contains(vantage)) return "";
    gone.insert(vantage);
  }
  if (gone.empty()) return "";
  if (gone.size() == 1) return absl::StrCat("its only vantage, ", *gone.begin(), ", was retired");
  return absl::StrCat("its vantages were retired: ", absl::StrJoin(gone, ", "));
}

void ProbeBook::ForgetVantage(const std::string& vantage) {
  {
    // What it saw and nobody has judged yet would bring it back.
    MutexLock lock(queue_mutex_);
    std::erase_if(queue_, [&](const Waiting& one) { return one.look.vantage == vantage; });
  }
  {
    // Nothing to do but the first time: this is said again and again.
    MutexLock lock(mutex_);
    retired_.insert(vantage);
    bool known = false;
    for (const auto& [token, entry] : entries_) {
      known |= entry.Knows(vantage) || entry.unwatched != Unwatched(*entry.check);
    }
    if (!known) return;
  }
  MutexLock work(work_mutex_);
  Outcome outcome;
  {
    MutexLock lock(mutex_);
    const absl::Time now = parts_.clock.Now();
    for (auto& [token, entry] : entries_) {
      std::string unwatched = Unwatched(*entry.check);
      if (!entry.Knows(vantage) && entry.unwatched == unwatched) continue;
      std::erase_if(entry.samples,
                    [&](const auto& sample) { return sample.first.first == vantage; });
      entry.confirmation.Forget(vantage);
      if (!unwatched.empty()) {
        // Nobody can say any more that it is down, or that it is up again.
        if (entry.open.has_value()) {
          absl::StrAppend(&entry.open->error, " (ended unseen: ", unwatched, ")");
          EndDowntime(entry, now, outcome.batch);
        }
        entry.confirmation.Reset();
      }
      outcome.changed = outcome.changed || entry.unwatched != unwatched;
      entry.unwatched = std::move(unwatched);
      entry.cached.reset();
      outcome.batch.states[token] = entry.ToState(now);
      outcome.turned.insert(token);
    }
  }
  Write(outcome, false);
  Publish(outcome);
}

void ProbeBook::Push(Waiting waiting) {
  MutexLock lock(queue_mutex_);
  if (queue_.size() >= kQueueMax) {
    ++queue_dropped_;
    return;
  }
  queue_.push_back(std::move(waiting));
  queue_changed_.notify_all();
}

}  // namespace fleet::collector
