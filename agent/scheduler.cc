#include "agent/scheduler.h"

#include <algorithm>
#include <utility>

#include "agent/judge.h"
#include "common/log.h"

namespace fleet::agent {

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
  for (int i = 0; i < kWorkers; ++i) AddWorker();
  scheduler_ = std::jthread([this](const std::stop_token& stop) { ScheduleLoop(stop); });
}

bool Scheduler::Stop(absl::Duration grace) {
  if (scheduler_.joinable()) {
    scheduler_.request_stop();
    scheduler_.join();
  }
  std::vector<std::jthread> workers;
  {
    MutexLock lock(mutex_);
    queue_.clear();
    for (std::jthread& worker : workers_) worker.request_stop();
    const SteadyTime until = grace == absl::InfiniteDuration()
                                 ? SteadyTime::max()
                                 : SteadyAfter(clock_.SteadyNow(), grace);
    const auto idle = [this] { return running_ == 0; };
    if (!clock_.WaitUntil(mutex_, schedule_, std::stop_token(), until, idle)) return false;
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
  schedule_.notify_all();
}

SteadyTime Scheduler::NextDue(size_t index) const {
  MutexLock lock(mutex_);
  return std::next(states_.begin(), static_cast<ptrdiff_t>(index))->due;
}

void Scheduler::AddWorker() {
  workers_.emplace_back([this](const std::stop_token& stop) { WorkLoop(stop); });
}

SteadyTime Scheduler::TickAfter(const State& state, SteadyTime now) const {
  const int64_t ticks = (now - origin_) / state.spec.interval;
  return SteadyAfter(origin_, state.spec.interval * (ticks + 1));
}

void Scheduler::StepRunning(State& state, SteadyTime now) {
  const absl::Duration running = now - state.started;
  if (state.phase == Phase::kRunning && running >= state.spec.deadline + kGrace) {
    state.phase = Phase::kStuck;
    state.last_reported = SteadyTime();
    state.replaced = ++stuck_ <= kStuckMax;
    if (state.replaced) AddWorker();
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
  if (!queue_.empty()) {
    // One worker runs through the queue; another joins when that takes long.
    work_.notify_one();
    next = std::min(next, SteadyAfter(now, kQueueWaitMax));
  }
  return next;
}

void Scheduler::ScheduleLoop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::deque<Report> stuck;
    bool moving = false;
    {
      MutexLock lock(mutex_);
      changed_ = false;
      const SteadyTime now = clock_.SteadyNow();
      SteadyTime next = Step(now);
      moving = queue_.empty() || now - queue_since_ < kQueueStallMax;
      if (hooks_.beat) next = std::min(next, SteadyAfter(now, hooks_.beat_interval));
      stuck.swap(stuck_reports_);
      if (stuck.empty()) {
        clock_.WaitUntil(mutex_, schedule_, stop, next, [this] { return changed_; });
      }
    }
    for (Report& report : stuck) hooks_.deliver(std::move(report));
    if (moving && hooks_.beat) hooks_.beat();
  }
}

void Scheduler::WorkLoop(const std::stop_token& stop) {
  while (true) {
    State* state = nullptr;
    {
      MutexLock lock(mutex_);
      const auto ready = [this] { return !queue_.empty(); };
      if (!clock_.WaitUntil(mutex_, work_, stop, SteadyTime::max(), ready) ||
          stop.stop_requested()) {
        return;
      }
      state = queue_.front();
      queue_.pop_front();
      queue_since_ = clock_.SteadyNow();
      state->phase = Phase::kRunning;
      state->triggered = false;
      state->started = clock_.SteadyNow();
      state->started_wall = clock_.Now();
      ++running_;
      // The scheduling thread must learn of the new deadline, but only if it would sleep past it.
      if (queue_.empty()) {
        changed_ = true;
        schedule_.notify_all();
      }
    }
    RunCheck(*state);
    MutexLock lock(mutex_);
    --running_;
    const bool was_stuck = state->phase == Phase::kStuck;
    state->phase = Phase::kIdle;
    state->due = TickAfter(*state, clock_.SteadyNow());
    if (queue_.empty() || was_stuck) {
      changed_ = true;
      schedule_.notify_all();
    }
    if (was_stuck) {
      --stuck_;
      log::Info("stuck check came back", {{"check", state->spec.name}});
      if (std::exchange(state->replaced, false)) return;
    }
  }
}

void Scheduler::RunCheck(State& state) {
  const std::string& name = state.spec.name;
  const SteadyTime started = clock_.SteadyNow();
  store_.TakeForgotten(name);
  const bool expected = state.spec.configured || store_.seen(name);
  CheckRun run(state.spec.check->metrics(), clock_, SteadyAfter(started, state.spec.deadline),
               store_.memory(name), expected);
  const absl::Status status = state.spec.check->Collect(run);
  Report& report = run.report();
  report.check = name;
  report.duration = clock_.SteadyNow() - started;
  report.interval = state.spec.interval;
  Judge(status, expected, report);
  if (!state.spec.parent.empty()) report.parent = state.spec.parent;
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
}

}  // namespace fleet::agent
