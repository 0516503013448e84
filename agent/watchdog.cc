#include "agent/watchdog.h"

#include <sys/socket.h>

#include <algorithm>

namespace fleet::agent {

Watchdog::~Watchdog() {
  std::jthread thread;
  {
    MutexLock lock(mutex_);
    thread = std::move(thread_);
  }
  // Joined here, without the mutex that the loop needs to end.
}

bool Watchdog::Guard::Disarm() {
  Watchdog* const dog = std::exchange(dog_, nullptr);
  return dog != nullptr && dog->Disarm(id_);
}

Watchdog::Guard Watchdog::Arm(int fd, SteadyTime deadline) {
  MutexLock lock(mutex_);
  const uint64_t id = next_id_++;
  watched_[id] = Watched{.fd = fd, .deadline = deadline};
  if (!thread_.joinable()) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
  }
  if (deadline < looks_at_) {
    looks_at_ = deadline;
    changed_.notify_one();
  }
  return {this, id};
}

bool Watchdog::Disarm(uint64_t id) {
  MutexLock lock(mutex_);
  const auto found = watched_.find(id);
  const bool fired = found->second.fired;
  watched_.erase(found);
  return fired;
}

void Watchdog::Loop(const std::stop_token& stop) {
  Clock& clock = Clock::Real();
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    SteadyTime next = SteadyTime::max();
    const SteadyTime now = clock.SteadyNow();
    for (auto& [id, watched] : watched_) {
      if (watched.fired) continue;
      if (watched.deadline <= now) {
        // Under the mutex, so never after Disarm: the descriptor is still the caller's.
        ::shutdown(watched.fd, SHUT_RDWR);
        watched.fired = true;
      } else {
        next = std::min(next, watched.deadline);
      }
    }
    const SteadyTime wake = next == SteadyTime::max() ? now + std::chrono::hours(1) : next;
    looks_at_ = wake;
    clock.WaitUntil(mutex_, changed_, stop, wake,
                    [this, wake]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return looks_at_ < wake; });
  }
}

}  // namespace fleet::agent
