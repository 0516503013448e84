#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "agent/probe_policy.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/probe/plan.h"
#include "common/probe/probe.h"
#include "common/report.h"

namespace fleet::v1 {
class ProbeHurry;
class ProbePlan;
}  // namespace fleet::v1

namespace fleet::agent {

/// Looks at what collectors ask this host to look at, as far as its policy lets it, and reports
/// what it saw. A plan holds until its collector sends another, so that an outage of the collector
/// leaves no gap. Starts its thread and the engine with the first plan. Thread-safe.
class Vantage {
 public:
  struct Parts {
    ProbePolicy policy;
    Clock& clock;
    /// Makes the engine, once.
    std::function<std::unique_ptr<probe::Engine>()> make_engine;
    /// Takes each report; called on any thread, must not block.
    std::function<void(const Report& report)> deliver;
  };

  explicit Vantage(Parts parts);
  /// Ends what runs. No more is delivered after that.
  ~Vantage();
  Vantage(const Vantage&) = delete;
  Vantage& operator=(const Vantage&) = delete;

  /// The plan of one collector, by its place in agent.yaml. Where several ask the same token, the
  /// first one's counts. What is wrong in it is logged and left out.
  void SetPlan(size_t collector, const v1::ProbePlan& plan);
  void SetHurry(size_t collector, const v1::ProbeHurry& hurry);

  /// Lanes that are looked at: probes, twice where both families are. For tests.
  size_t lanes() const;

 private:
  struct Key {
    std::string token;
    probe::IpFamily family = probe::IpFamily::kAny;
    auto operator<=>(const Key&) const = default;
  };
  struct Lane {
    std::shared_ptr<const probe::Planned> planned;
    SteadyTime started;  // the newest look
    SteadyTime due;
    bool in_flight = false;
    uint64_t generation = 0;  // of its definition: a look at an older one is not reported
  };

  void Merge() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(const std::stop_token& stop);
  absl::Duration PeriodOf(const Key& key, const Lane& lane) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Begins a look; called without the lock.
  void Start(const Key& key, const std::shared_ptr<const probe::Planned>& planned,
             uint64_t generation);
  void Finish(const Key& key, uint64_t generation, absl::Duration period, probe::Result result);

  const Parts parts_;

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<size_t, std::vector<std::shared_ptr<const probe::Planned>>> plans_
      ABSL_GUARDED_BY(mutex_);
  std::map<size_t, std::set<std::string>> hurries_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_){std::random_device()()};

  std::unique_ptr<probe::Engine> engine_;  // of the thread
  std::jthread thread_;
};

}  // namespace fleet::agent
