#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "common/scoped_fd.h"

namespace fleet::probe {

/// Waits for sockets and points in time, in one thread. Everything but Post and Stop belongs to
/// that thread. Callbacks must not block; they may watch, unwatch and cancel as they like.
class Loop {
 public:
  using TimerId = std::pair<SteadyTime, uint64_t>;

  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Until Stop.
  void Run();
  /// Any thread.
  void Stop();
  /// Runs `task` on the loop's thread, soon. Any thread.
  void Post(std::function<void()> task) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Runs `task` when what runs now has returned.
  void Later(std::function<void()> task) { later_.push_back(std::move(task)); }

  /// Calls `ready` with the EPOLL* events, among `events`, EPOLLERR and EPOLLHUP, of `fd`; also now
  /// and then without any. Another call for the same fd replaces the first.
  void Watch(int fd, uint32_t events, std::function<void(uint32_t)> ready);
  /// Before the fd is closed.
  void Unwatch(int fd);

  TimerId At(SteadyTime when, std::function<void()> due);
  TimerId After(absl::Duration span, std::function<void()> due);
  /// One that has been due already is none of our business.
  void Cancel(const TimerId& timer) { timers_.erase(timer); }

 private:
  int MillisecondsToWait() const;
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);
  void RunTimers();
  void RunLater();

  const ScopedFd epoll_;
  const ScopedFd wake_;
  bool stopped_ = false;
  uint64_t timers_made_ = 0;
  std::vector<std::function<void()>> later_;
  std::map<TimerId, std::function<void()>> timers_;
  std::unordered_map<int, std::shared_ptr<std::function<void(uint32_t)>>> watched_;
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::probe
