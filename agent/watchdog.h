#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <thread>
#include <utility>

#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::agent {

/// Shuts a socket down when its time is over, so that a client library that waits for a server
/// which never answers gets its error and returns. One thread, started by the first Arm.
/// Thread-safe.
class Watchdog {
 public:
  Watchdog() = default;
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Disarms at the end of its life. `fd` must stay open, and be the caller's own, until then: a
  /// library may close its descriptor on an error and the number be reused, so hand in a dup().
  class Guard {
   public:
    Guard(Guard&& other) noexcept : dog_(std::exchange(other.dog_, nullptr)), id_(other.id_) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() { Disarm(); }
    /// Ends the watch. Returns whether the socket was shut down meanwhile.
    bool Disarm();

   private:
    friend class Watchdog;
    Guard(Watchdog* dog, uint64_t id) : dog_(dog), id_(id) {}
    Watchdog* dog_;
    uint64_t id_;
  };

  /// Calls shutdown(fd, SHUT_RDWR) at `deadline` of the machine's monotonic clock.
  [[nodiscard]] Guard Arm(int fd, SteadyTime deadline);

 private:
  struct Watched {
    int fd;
    SteadyTime deadline;
    bool fired = false;
  };
  void Loop(const std::stop_token& stop);
  bool Disarm(uint64_t id);

  Mutex mutex_;
  std::condition_variable_any changed_;
  std::map<uint64_t, Watched> watched_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  /// When the thread looks again by itself: it is woken only for what is due before, so that what
  /// is armed and disarmed in time costs no wake-up.
  SteadyTime looks_at_ ABSL_GUARDED_BY(mutex_) = SteadyTime::max();
  std::jthread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::agent
