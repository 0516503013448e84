#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "agent/check.h"
#include "agent/memory_store.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::agent {

/// One check as it is scheduled.
struct ScheduledCheck {
  std::string name;
  absl::Duration interval;
  absl::Duration deadline;  // of one run
  bool configured = false;  // named in the configuration, hence expected
  std::string parent;       // from the configuration; see Report::parent
  std::unique_ptr<Check> check;
};

/// Runs every check at its interval, at once when triggered, and never twice at a time.
///
/// One scheduling thread and a few workers. The checks of one tick start together, so that their
/// reports leave in one message (a wake-up of the network costs as much as all parsing); a worker
/// takes one after the other, and another joins when the queue has waited for kQueueWaitMax. A run
/// past its deadline is reported as stuck, its worker replaced, and that check not started again
/// until it returns; at most kStuckMax are let go so.
///
/// Start and Stop by the owner; Trigger by any thread; `deliver` and `watch` are called by workers
/// and by the scheduling thread, several at a time.
class Scheduler {
 public:
  static constexpr int kWorkers = 4;
  static constexpr int kStuckMax = 16;
  static constexpr absl::Duration kQueueWaitMax = absl::Milliseconds(20);
  /// Beyond the deadline that a check was told, before it is called stuck.
  static constexpr absl::Duration kGrace = absl::Milliseconds(500);
  /// A triggered check starts at most this often.
  static constexpr absl::Duration kTriggerInterval = absl::Milliseconds(100);
  /// A queue from which nothing was taken for so long will not move again by itself: every worker
  /// hangs and no more may be let go. Then the scheduler no longer calls itself alive.
  static constexpr absl::Duration kQueueStallMax = absl::Minutes(1);

  struct Hooks {
    std::function<void(Report)> deliver;
    /// What may trigger `check` from now on; called when it changed.
    std::function<void(const std::string& check, std::vector<Watch>)> watch;
    /// The scheduling thread goes round and its queue moves: called each time round, at least every
    /// `beat_interval`. Empty: nobody watches.
    std::function<void()> beat = {};
    absl::Duration beat_interval = absl::InfiniteDuration();
  };

  /// `store` has every check loaded and outlives the scheduler, as `clock` does.
  Scheduler(std::vector<ScheduledCheck> checks, MemoryStore& store, Clock& clock, Hooks hooks);
  ~Scheduler();

  void Start();
  /// Ends the threads, waiting up to `grace` for running checks. Returns false when a run is still
  /// stuck: then its thread cannot be joined and the process must end by _exit.
  bool Stop(absl::Duration grace);

  /// Runs `check` now, or right after the run under way. Unknown names are ignored.
  void Trigger(const std::string& check);

  /// When this check's next run is due, for tests. Zero-based order of construction.
  SteadyTime NextDue(size_t index) const;

 private:
  enum class Phase { kIdle, kQueued, kRunning, kStuck };
  struct State {
    ScheduledCheck spec;
    Phase phase = Phase::kIdle;
    SteadyTime due;
    SteadyTime started;
    absl::Time started_wall;
    SteadyTime last_reported;
    bool triggered = false;
    bool replaced = false;  // stuck, and another worker took its worker's place
    std::vector<Watch> watches;
  };

  void ScheduleLoop(const std::stop_token& stop);
  void WorkLoop(const std::stop_token& stop);
  /// Queues what is due and reports what is stuck. Returns when to look again.
  SteadyTime Step(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StepRunning(State& state, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunCheck(State& state);
  void AddWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SteadyTime TickAfter(const State& state, SteadyTime now) const;

  MemoryStore& store_;
  Clock& clock_;
  const Hooks hooks_;
  SteadyTime origin_;

  mutable Mutex mutex_;
  std::condition_variable_any schedule_;  // something changed for the scheduling thread
  std::condition_variable_any work_;      // the queue has an entry
  std::list<State> states_;               // stable addresses; the list itself never changes
  std::deque<State*> queue_ ABSL_GUARDED_BY(mutex_);
  /// Since when the first in the queue is that: when it came to be, or the one before it was taken.
  SteadyTime queue_since_ ABSL_GUARDED_BY(mutex_);
  std::deque<Report> stuck_reports_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  int stuck_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::jthread> workers_ ABSL_GUARDED_BY(mutex_);
  std::jthread scheduler_;
};

}  // namespace fleet::agent
