#include "agent/scheduler.h"

#include <algorithm>
#include <utility>

#include "agent/judge.h"
#include "common/log.h"

namespace fleet::agent {
namespace {

/// On the ticks of those that are there, so that it costs no wake-up of its own.
absl::Duration AbsentInterval(absl::Duration interval) {
  absl::Duration rest;
  const int64_t times = absl::IDivDuration(Scheduler::kAbsentInterval, interval, &rest);
  return interval * std::max<int64_t>(1, rest > absl::ZeroDuration() ? times + 1 : times);
}

}  // namespace

Scheduler::Scheduler(std::vector<ScheduledCheck> checks, MemoryStore& store, Clock& clock,
                     Hooks hooks)
    : store_(store), clock_(clock), hooks_(std::move(hooks)), origin_(clock.SteadyNow()) {
  for (ScheduledCheck& check : checks) {
    State& state = states_.emplace_back();
    state.spec = std::move(check);
    state.due = origin_;
  }
}

Scheduler::~Scheduler() { Stop(absl::InfiniteDuration()); }

void Scheduler::Start() {
  MutexLock lock(mutex_);
  busy_since_ = clock_.SteadyNow();
  // One more than may run, so that there is always one to see that a run is stuck.
  for (int i = 0; i <= kRunningMax; ++i) AddWorker(i == 0);
}

bool Scheduler::Stop(absl::Duration grace) {
  std::vector<std::jthread> workers;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    queue_.clear();
    for (std::jthread& worker : workers_) worker.request_stop();
    const SteadyTime until = grace == absl::InfiniteDuration()
                                 ? SteadyTime::max()
                                 : SteadyAfter(clock_.SteadyNow(), grace);
    const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ == 0; };
    if (!clock_.WaitUntil(mutex_, idle_, std::stop_token(), until, idle)) return false;
    workers = std::move(workers_);
    workers_.clear();
  }
  workers.clear();  // joins
  for (const State& state : states_) {
    if (const absl::Status status = store_.Flush(state.spec.name, true); !status.ok()) {
      log::Warning("memory not written", {{"check", state.spec.name}, {"error", status}});
    }
  }
  return true;
}

void Scheduler::Trigger(const std::string& check) {
  MutexLock lock(mutex_);
  for (State& state : states_) {
    if (state.spec.name != check) continue;
    state.triggered = true;
    changed_ = true;
  }
  // Without a leader, the thread that runs checks sees it next; or the lookout, soon.
  if (leader_) leader_wakes_.notify_one();
}

SteadyTime Scheduler::NextDue(size_t index) const {
  MutexLock lock(mutex_);
  return std::next(states_.begin(), static_cast<ptrdiff_t>(index))->due;
}

void Scheduler::AddWorker(bool leads) {
  workers_.emplace_back([this, leads](const std::stop_token& stop) { Loop(stop, leads); });
}

SteadyTime Scheduler::TickAfter(absl::Duration interval, SteadyTime now) const {
  const int64_t ticks = (now - origin_) / interval;
  return SteadyAfter(origin_, interval * (ticks + 1));
}

void Scheduler::StepRunning(State& state, SteadyTime now) {
  const absl::Duration running = now - state.started;
  if (state.phase == Phase::kRunning && running >= state.spec.deadline + kGrace) {
    state.phase = Phase::kStuck;
    state.last_reported = SteadyTime();
    state.replaced = ++stuck_ <= kStuckMax;
    if (state.replaced) {
      ++replaced_;
      AddWorker(false);
    }
    log::Warning("check is stuck", {{"check", state.spec.name}});
  }
  if (state.phase == Phase::kStuck && now - state.last_reported >= state.spec.interval) {
    state.last_reported = now;
    Report report = StuckReport(state.spec.name, state.started_wall, running);
    report.interval = state.spec.interval;
    report.parent = state.spec.parent;
    stuck_reports_.push_back(std::move(report));
  }
}

SteadyTime Scheduler::Step(SteadyTime now) {
  SteadyTime next = SteadyAfter(now, absl::Hours(1));
  for (State& state : states_) {
    switch (state.phase) {
      case Phase::kIdle: {
        SteadyTime due = state.due;
        if (state.triggered) {
          due = std::min(due, std::max(now, SteadyAfter(state.started, kTriggerInterval)));
        }
        if (due <= now) {
          if (queue_.empty()) queue_since_ = now;
          state.phase = Phase::kQueued;
          queue_.push_back(&state);
        } else {
          next = std::min(next, due);
        }
        break;
      }
      case Phase::kQueued:
        break;
      case Phase::kRunning:
      case Phase::kStuck:
        StepRunning(state, now);
        next = std::min(next, state.phase == Phase::kStuck
                                  ? SteadyAfter(state.last_reported, state.spec.interval)
                                  : SteadyAfter(state.started, state.spec.deadline + kGrace));
        break;
    }
  }
  return next;
}

void Scheduler::Loop(const std::stop_token& stop, bool leads) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    if (leads && !leader_) {
      if (Lead(stop)) return;
      continue;
    }
    clock_.WaitUntil(mutex_, spare_wakes_, stop, SteadyTime::max(),
                     [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !lookout_; });
    if (!lookout_) LookOut(stop);
    leads = true;
  }
}

bool Scheduler::Lead(const std::stop_token& stop) {
  changed_ = false;
  const SteadyTime now = clock_.SteadyNow();
  next_ = Step(now);
  if (!queue_.empty() && running_ - replaced_ < kRunningMax) return RunNext();
  leader_ = true;
  const bool handed_over = HandOver();
  if (hooks_.beat) {
    next_ = std::min(next_, SteadyAfter(now, hooks_.beat_interval));
    if (queue_.empty() || now - queue_since_ < kQueueStallMax) {
      mutex_.unlock();
      hooks_.beat();
      mutex_.lock();
    }
  }
  if (!handed_over) {
    clock_.WaitUntil(mutex_, leader_wakes_, stop, next_,
                     [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_; });
  }
  leader_ = false;
  busy_since_ = clock_.SteadyNow();
  return false;
}

void Scheduler::LookOut(const std::stop_token& stop) {
  lookout_ = true;
  while (!stop.stop_requested()) {
    look_sooner_ = false;
    lookout_until_ = SteadyAfter(leader_ ? next_ : busy_since_, kQueueWaitMax);
    const SteadyTime now = clock_.SteadyNow();
    if (!leader_ && now >= lookout_until_) {
      busy_since_ = now;
      break;
    }
    // On a busy machine the leader itself may wake late.
    if (now >= lookout_until_) lookout_until_ = SteadyAfter(now, kQueueWaitMax);
    clock_.WaitUntil(mutex_, lookout_wakes_, stop, lookout_until_,
                     [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return look_sooner_; });
  }
  lookout_ = false;
  spare_wakes_.notify_one();
}

bool Scheduler::HandOver() {
  if (stuck_reports_.empty() && !delivered_) return false;
  std::deque<Report> stuck;
  stuck.swap(stuck_reports_);
  delivered_ = false;
  mutex_.unlock();
  for (Report& report : stuck) hooks_.deliver(std::move(report));
  if (hooks_.flush) hooks_.flush();
  mutex_.lock();
  return true;
}

bool Scheduler::RunNext() {
  State& state = *queue_.front();
  queue_.pop_front();
  state.phase = Phase::kRunning;
  state.triggered = false;
  state.started = clock_.SteadyNow();
  queue_since_ = state.started;
  state.started_wall = clock_.Now();
  ++running_;
  // On a tick the lookout looks in time by itself; a trigger comes when it does not expect it.
  if (lookout_ && lookout_until_ > SteadyAfter(state.started, kQueueWaitMax)) {
    look_sooner_ = true;
    lookout_wakes_.notify_one();
  }
  mutex_.unlock();
  const absl::Duration interval = RunCheck(state);
  mutex_.lock();
  --running_;
  delivered_ = true;
  const bool was_stuck = state.phase == Phase::kStuck;
  state.phase = Phase::kIdle;
  state.due = TickAfter(interval, clock_.SteadyNow());
  if (stopping_) idle_.notify_all();
  if (leader_ && (state.triggered || state.due < next_ || !queue_.empty())) {
    changed_ = true;
    leader_wakes_.notify_one();
  }
  if (!was_stuck) return false;
  --stuck_;
  log::Info("stuck check came back", {{"check", state.spec.name}});
  if (!std::exchange(state.replaced, false)) return false;
  --replaced_;
  return true;
}

absl::Duration Scheduler::RunCheck(State& state) {
  const std::string& name = state.spec.name;
  const SteadyTime started = clock_.SteadyNow();
  store_.TakeForgotten(name);
  const bool expected = state.spec.configured || store_.seen(name);
  CheckRun run(state.spec.check->metrics(), clock_, SteadyAfter(started, state.spec.deadline),
               store_.memory(name), expected);
  run.report().samples = std::move(state.next);
  const absl::Status status = state.spec.check->Collect(run);
  Report& report = run.report();
  report.check = name;
  report.duration = clock_.SteadyNow() - started;
  report.interval = state.spec.interval;
  Judge(status, expected, report);
  if (report.absent) report.interval = AbsentInterval(report.interval);
  const absl::Duration interval = report.interval;
  if (!state.spec.parent.empty()) report.parent = state.spec.parent;
  state.next = report.samples.Next();
  if (status.ok()) store_.MarkSeen(name);
  if (const absl::Status written = store_.Flush(name, false); !written.ok()) {
    log::Warning("memory not written", {{"check", name}, {"error", written}});
  }
  bool stuck = false;
  {
    MutexLock lock(mutex_);
    stuck = state.phase == Phase::kStuck;
  }
  // What a stuck run found is as old as its start: the next run tells.
  if (!stuck) hooks_.deliver(std::move(report));
  std::vector<Watch> watches = state.spec.check->watches();
  if (watches != state.watches) {
    state.watches = watches;
    hooks_.watch(name, std::move(watches));
  }
  return interval;
}

}  // namespace fleet::agent
