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
/// A few equal threads share the work by role, so that a tick costs as few wake-ups as can be (one
/// costs as much as reading three files). The leader sleeps until the next check is due and runs
/// what is due itself, one after the other, so that their reports leave in one message. The lookout
/// sleeps until kQueueWaitMax after that moment: where it finds no leader waiting for the next
/// check, because a run takes long, it becomes the leader and one of the spare threads the lookout.
/// A run past its deadline is reported as stuck, its thread replaced, and that check not started
/// again until it returns; at most kStuckMax are let go so.
///
/// Start and Stop by the owner; Trigger by any thread; the hooks are called by the threads, several
/// at a time.
class Scheduler {
 public:
  /// Runs at a time, without those that are stuck.
  static constexpr int kRunningMax = 4;
  static constexpr int kStuckMax = 16;
  static constexpr absl::Duration kQueueWaitMax = absl::Milliseconds(20);
  /// Beyond the deadline that a check was told, before it is called stuck.
  static constexpr absl::Duration kGrace = absl::Milliseconds(500);
  /// A triggered check starts at most this often.
  static constexpr absl::Duration kTriggerInterval = absl::Milliseconds(100);

  /// A queue from which nothing was taken for so long will not move again by itself: every run
  /// hangs and no more may be let go. Then the scheduler no longer calls itself alive.
  static constexpr absl::Duration kQueueStallMax = absl::Minutes(1);

  /// What was never seen here is looked for at most this often, rounded up to the check's interval.
  static constexpr absl::Duration kAbsentInterval = absl::Seconds(10);

  struct Hooks {
    std::function<void(Report)> deliver;
    /// What may trigger `check` from now on; called when it changed.
    std::function<void(const std::string& check, std::vector<Watch>)> watch;
    /// There is a leader and its queue moves: called each time round, at least every
    /// `beat_interval`. Empty: nobody watches.
    std::function<void()> beat = {};
    absl::Duration beat_interval = absl::InfiniteDuration();
    /// Nothing more is due for now: what was delivered may leave. May be empty.
    std::function<void()> flush = {};
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
    SampleSet next;  // empty, and expects the series of the last report
  };

  /// `leads`: whether this thread is the first leader.
  void Loop(const std::stop_token& stop, bool leads);
  /// Runs what is due or waits for it. Returns true when this thread is one too many.
  bool Lead(const std::stop_token& stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Returns when there should be a leader and none waits: this thread is it.
  void LookOut(const std::stop_token& stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Queues what is due and reports what is stuck. Returns when to look again.
  SteadyTime Step(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StepRunning(State& state, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Runs the first of the queue, letting go of the mutex meanwhile. Returns as Lead.
  bool RunNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Returns how long after this run the next is due.
  absl::Duration RunCheck(State& state);
  /// Delivers what is stuck and says that what was delivered may leave. Returns whether there was
  /// anything, and the mutex was let go meanwhile.
  bool HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddWorker(bool leads) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// The first multiple of `interval` since the start that is later than `now`.
  SteadyTime TickAfter(absl::Duration interval, SteadyTime now) const;

  MemoryStore& store_;
  Clock& clock_;
  const Hooks hooks_;
  SteadyTime origin_;

  mutable Mutex mutex_;
  std::condition_variable_any leader_wakes_;
  std::condition_variable_any lookout_wakes_;
  std::condition_variable_any spare_wakes_;
  std::condition_variable_any idle_;  // while stopping: a run ended
  std::list<State> states_;           // stable addresses; the list itself never changes
  std::deque<State*> queue_ ABSL_GUARDED_BY(mutex_);
  SteadyTime queue_since_ ABSL_GUARDED_BY(mutex_);  // when it last moved
  std::deque<Report> stuck_reports_ ABSL_GUARDED_BY(mutex_);
  /// A thread waits for the next check to be due, which is at next_.
  bool leader_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime next_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;  // sooner than next_
  /// Without a leader: since when.
  SteadyTime busy_since_ ABSL_GUARDED_BY(mutex_);
  /// Another thread looks at lookout_until_ whether there is a leader.
  bool lookout_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime lookout_until_ ABSL_GUARDED_BY(mutex_);
  bool look_sooner_ ABSL_GUARDED_BY(mutex_) = false;
  bool delivered_ ABSL_GUARDED_BY(mutex_) = false;  // since the last flush
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int stuck_ ABSL_GUARDED_BY(mutex_) = 0;
  int replaced_ ABSL_GUARDED_BY(mutex_) = 0;  // of those
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::jthread> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::agent
