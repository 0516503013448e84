#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/events.h"
#include "collector/probes/plan_source.h"
#include "collector/probes/probe_entry.h"
#include "collector/probes/probe_store.h"
#include "collector/probes/probes.h"
#include "collector/probes/schedule.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/probe/probe.h"

namespace fleet::collector {

/// The probes of one collector: when they are looked at, what that says, and what is kept of it in
/// data_dir/probes.db. Looks come in on any thread and wait in a queue; one thread judges them,
/// writes what they change and only then tells of it, so that no downtime that anybody has seen is
/// lost when the process dies. Thread-safe.
class ProbeBook final : public Probes, public PlanSource {
 public:
  static constexpr size_t kQueueMax = 50'000;  // looks that wait to be judged; more are dropped
  static constexpr size_t kUnwrittenEventsMax = 10'000;             // while the disk refuses
  static constexpr absl::Duration kFlushEvery = absl::Seconds(5);   // counts and states
  static constexpr absl::Duration kStatesEvery = absl::Minutes(1);  // of those that stand still
  static constexpr absl::Duration kTrimEvery = absl::Hours(1);
  static constexpr absl::Duration kFirstTrim = absl::Minutes(1);      // after the start
  static constexpr absl::Duration kLinger = absl::Milliseconds(100);  // looks are judged together
  static constexpr absl::Duration kCauseWait = absl::Minutes(10);     // for a cause to be known

  struct Options {
    std::vector<ProbeCheck> checks;  // of collector.yaml
    std::string path;                // of the database; empty: nothing outlives the process
    probe::AddressGuard api_guard;   // what checks of the API may connect to; null: everything
    bool threads = true;             // false, for tests: StartDue and Work are called instead
  };
  struct Parts {
    probe::Engine& engine;
    Clock& clock;
    EventLog* events = nullptr;  // null: nobody is told
    /// The root cause when what this path names fails; empty when it does not. Called without a
    /// lock of ours.
    std::function<std::string(const std::string& path)> cause;
    /// The vantages beside the collector itself.
    std::function<std::vector<Vantage>()> vantages;
    /// Told when what a PlanSource says may have changed; with a lock of ours held, so it may not
    /// call back.
    std::function<void()> plans_changed;
    /// How late each look began.
    std::function<void(absl::Duration lag)> started;
  };

  /// Opens the database and begins to look. Errors: why the database cannot be used.
  static absl::StatusOr<std::unique_ptr<ProbeBook>> Start(Options options, Parts parts);
  /// Writes what waits. The engine may not call back any more: end it before.
  ~ProbeBook() override;

  std::vector<ProbeView> List() const override;
  std::optional<ProbeView> Find(absl::string_view token_or_name) const override;
  std::vector<Vantage> Vantages() const override;
  absl::StatusOr<ProbeView> Create(ProbeCheck check) override;
  absl::StatusOr<ProbeView> Update(ProbeCheck check) override;
  absl::Status Remove(absl::string_view token) override;
  absl::StatusOr<std::vector<Downtime>> Downtimes(absl::string_view token, size_t offset,
                                                  size_t limit) override;
  absl::StatusOr<std::optional<Downtime>> FindDowntime(absl::string_view id) override;
  absl::StatusOr<std::map<std::string, ProbeMetrics>> Metrics(absl::string_view token,
                                                              absl::Time from, absl::Time to,
                                                              MetricsGroup group) override;
  absl::StatusOr<std::vector<std::optional<double>>> DailyUptime(absl::string_view token,
                                                                 int days) override;
  absl::StatusOr<std::vector<ProbeEvent>> Events(int64_t after, size_t limit) override;
  void OnChange(std::function<void()> changed) override;
  absl::Status Pulse(absl::string_view token, absl::string_view key, bool failed,
                     absl::string_view message) override;
  void Observe(ProbeLook look) override;

  std::vector<probe::Planned> PlanFor(absl::string_view vantage) const override;
  std::vector<std::string> Hurried() const override;
  void TakeLook(const std::string& vantage, probe::Look look) override;

  /// A vantage was retired: what it saw last is not told any more, and decides nothing. Its history
  /// stays. A probe that nobody looks at any more is not down, but unknown, until somebody does.
  void ForgetVantage(const std::string& vantage);

  /// No more looks are begun, and those that run are not taken any more.
  void StopLooking();

  /// The newest samples of each probe and vantage that are not stale, with the probe.
  struct Seen {
    std::string vantage;
    probe::IpFamily family;  // kAny unless both are looked at
    SampleSet samples;
  };
  struct Sampled {
    ProbeView view;
    size_t downtimes = 0;  // of the last kUptimeSpan
    std::vector<Seen> seen;
  };
  std::vector<Sampled> Samples() const;

  struct Facts {
    uint64_t looks = 0;           // judged
    uint64_t blind = 0;           // of them those that could not be tried
    uint64_t missed = 0;          // turns that came too late to look
    uint64_t overrun = 0;         // turns at which the look before was still running
    uint64_t dropped = 0;         // because too many waited
    uint64_t write_errors = 0;    // times the disk refused
    uint64_t events_dropped = 0;  // because the disk did not follow
    size_t waiting = 0;
    bool failing = false;  // the disk refuses right now
  };
  Facts facts() const;

  /// Begins each look whose time has come. For tests without threads.
  void StartDue();
  /// Judges and writes what waits; `flush`: all of it. For tests without threads.
  void Work(bool flush);

 private:
  /// A look on its way to be judged.
  struct Waiting {
    ProbeLook look;
    probe::IpFamily family = probe::IpFamily::kAny;  // that was asked for
    bool ours = false;
    bool pulse = false;
  };
  /// Of judging: what is to be written and then told.
  struct Outcome {
    ProbeBatch batch;
    std::set<std::string> turned;       // tokens whose downtime has changed
    std::set<std::string> heard;        // of pulses
    std::vector<ProbeEvent> news;       // muted ones too
    std::vector<ProbeCheck> redefined;  // whose mute is over
    bool changed = false;
  };

  ProbeBook(Options options, Parts parts, std::unique_ptr<ProbeStore> store);
  /// Eight letters and digits that nobody can guess.
  static std::string MakePulseKey();
  absl::Status Load();
  ProbeBatch Fill(std::vector<ProbeCheck> from_api,
                  const std::map<std::string, v1::StoredState>& states,
                  const std::vector<Downtime>& downtimes);
  void LoadDowntime(const Downtime& downtime, const std::map<std::string, v1::StoredState>& states,
                    ProbeBatch& ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddEntry(ProbeCheck check) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Prepare(ProbeCheck& check, const ProbeCheck* before)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// `silence`: how long a pulse may still take to be called; none: its whole period.
  void Schedule(const ProbeCheck& check, bool at_once,
                std::optional<absl::Duration> silence = std::nullopt);
  std::optional<absl::Duration> SilenceLeft(const ProbeEntry& entry) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unschedule(absl::string_view token);
  /// Why nobody looks at it any more; empty: somebody does, or may.
  std::string Unwatched(const ProbeCheck& check) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ProbeView View(const ProbeEntry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string FreeToken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void JudgeWaiting(bool flush);            // Work, but for what is due each hour
  void Look(const std::stop_token& stop);   // the thread that begins looks
  void Judge(const std::stop_token& stop);  // the thread that judges them
  void StartOne(const ProbeSchedule::Key& key, absl::Duration lag);
  void Push(Waiting waiting);

  void RefreshCauses(const std::deque<Waiting>& batch, bool all);
  void Apply(Waiting waiting, Outcome& outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Confirm(ProbeEntry& entry, const Waiting& waiting, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoDown(ProbeEntry& entry, const Turned& turned, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoUp(ProbeEntry& entry, const Turned& turned, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchTls(ProbeEntry& entry, const probe::TlsFacts& facts, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WatchPerformance(ProbeEntry& entry, absl::Time hour, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FindCauses(Outcome& outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(ProbeEntry& entry, ProbeEvent event, Outcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndDowntime(ProbeEntry& entry, absl::Time at, ProbeBatch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write(Outcome& outcome, bool flush);
  void Gather(Outcome& outcome, bool all_states) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim();
  void Publish(Outcome& outcome);
  void Note(const ProbeEvent& event);
  void Changed();

  const Parts parts_;
  const bool threads_;
  const probe::AddressGuard api_guard_;
  const std::unique_ptr<ProbeStore> store_;
  std::vector<ProbeCheck> from_config_;  // until Load

  Mutex work_mutex_;  // one judges at a time; taken before all others

  mutable Mutex mutex_;  // before schedule_mutex_ and queue_mutex_
  std::map<std::string, ProbeEntry> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> order_ ABSL_GUARDED_BY(mutex_);
  std::map<CountKey, ProbeMetrics> counts_ ABSL_GUARDED_BY(mutex_);    // not yet on the disk
  std::map<std::string, std::string> causes_ ABSL_GUARDED_BY(mutex_);  // by parent
  std::set<std::string> retired_ ABSL_GUARDED_BY(mutex_);              // until they look again
  Facts facts_ ABSL_GUARDED_BY(mutex_);

  mutable Mutex schedule_mutex_;
  std::condition_variable_any schedule_changed_;
  ProbeSchedule schedule_ ABSL_GUARDED_BY(schedule_mutex_);
  std::set<ProbeSchedule::Key> in_flight_ ABSL_GUARDED_BY(schedule_mutex_);
  uint64_t overrun_ ABSL_GUARDED_BY(schedule_mutex_) = 0;
  uint64_t schedule_version_ ABSL_GUARDED_BY(schedule_mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(schedule_mutex_) = false;

  mutable Mutex queue_mutex_;
  std::condition_variable_any queue_changed_;
  std::deque<Waiting> queue_ ABSL_GUARDED_BY(queue_mutex_);
  uint64_t queue_dropped_ ABSL_GUARDED_BY(queue_mutex_) = 0;

  Mutex changed_mutex_;
  std::vector<std::function<void()>> changed_ ABSL_GUARDED_BY(changed_mutex_);

  // Of the judging thread.
  ProbeBatch unwritten_;
  SteadyTime flushed_at_;
  SteadyTime states_at_;
  SteadyTime trimmed_at_;
  SteadyTime causes_at_;  // when those that have none were looked for last

  std::jthread judge_;  // last: they use all of the above
  std::jthread looker_;
};

}  // namespace fleet::collector
