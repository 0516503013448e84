#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "common/probe/probe.h"

namespace fleet::test {

/// An engine that answers at once what a test says of the target; everything is up by default.
/// Thread-safe.
class FakeProbeEngine final : public probe::Engine {
 public:
  explicit FakeProbeEngine(Clock& clock) : clock_(clock) {}

  void Start(probe::Spec spec, Done done) override {
    probe::Result result;
    {
      MutexLock lock(mutex_);
      started_.push_back(spec.target);
      if (held_) {
        waiting_.emplace_back(std::move(spec), std::move(done));
        return;
      }
      result = Answer(spec);
    }
    done(std::move(result));
  }
  size_t waiting() const override { return 0; }
  size_t running() const override {
    MutexLock lock(mutex_);
    return waiting_.size();
  }

  /// From now on: `error` is what a look at `target` fails with; empty: it works.
  void Set(const std::string& target, const std::string& error,
           probe::IpFamily family = probe::IpFamily::kAny) {
    MutexLock lock(mutex_);
    errors_[{target, family}] = error;
  }
  /// What else a look says; `start`, `success` and `error` are set by the engine.
  void SetResult(const std::string& target, probe::Result result) {
    MutexLock lock(mutex_);
    results_[target] = std::move(result);
  }
  /// Whether probes wait for Release.
  void Hold(bool held) {
    MutexLock lock(mutex_);
    held_ = held;
  }
  void Release() {
    std::vector<std::pair<probe::Spec, Done>> waiting;
    {
      MutexLock lock(mutex_);
      waiting.swap(waiting_);
    }
    for (auto& [spec, done] : waiting) {
      probe::Result result;
      {
        MutexLock lock(mutex_);
        result = Answer(spec);
      }
      done(std::move(result));
    }
  }
  std::vector<std::string> TakeStarted() {
    MutexLock lock(mutex_);
    return std::exchange(started_, {});
  }

 private:
  probe::Result Answer(const probe::Spec& spec) {
    probe::Result result = results_[spec.target];
    const auto own = errors_.find({spec.target, spec.family});
    const auto any = errors_.find({spec.target, probe::IpFamily::kAny});
    if (own != errors_.end()) {
      result.error = own->second;
    } else if (any != errors_.end()) {
      result.error = any->second;
    }
    result.start = clock_.Now();
    result.success = result.error.empty();
    result.family = spec.family;
    return result;
  }

  Clock& clock_;
  mutable Mutex mutex_;
  std::map<std::pair<std::string, probe::IpFamily>, std::string> errors_;
  std::map<std::string, probe::Result> results_;
  std::vector<std::string> started_;
  std::vector<std::pair<probe::Spec, Done>> waiting_;
  bool held_ = false;
};

}  // namespace fleet::test
