#include "common/probe/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr int kEventsMax = 64;  // of one wait; more come with the next

}  // namespace

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC)) {
  FLEET_ASSERT(epoll_.valid() && wake_.valid());
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  FLEET_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) == 0);
}

void Loop::Run() {
  while (!stopped_) {
    // What is due by now need not wait for the kernel.
    RunTimers();
    RunLater();
    std::array<epoll_event, kEventsMax> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsMax, MillisecondsToWait());
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.fd == wake_.get()) {
        RunPosted();
        continue;
      }
      // An earlier callback may have unwatched it, or be unwatching it now.
      const auto found = watched_.find(event.data.fd);
      if (found == watched_.end()) continue;
      const std::shared_ptr<std::function<void(uint32_t)>> ready = found->second;
      (*ready)(event.events);
    }
  }
}

void Loop::Stop() {
  Post([this] { stopped_ = true; });
}

void Loop::Post(std::function<void()> task) {
  bool first = false;
  {
    MutexLock lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (!first) return;
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));  // cannot fail: it never counts that far
}

void Loop::RunPosted() {
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(mutex_);
    tasks.swap(posted_);
  }
  for (const std::function<void()>& task : tasks) task();
}

void Loop::RunTimers() {
  // Only those due by now, so that one that sets another cannot keep us here.
  const SteadyTime now = Clock::Real().SteadyNow();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const std::function<void()> due = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    due();
  }
}

void Loop::RunLater() {
  std::vector<std::function<void()>> tasks;
  tasks.swap(later_);
  for (const std::function<void()>& task : tasks) task();
}

int Loop::MillisecondsToWait() const {
  if (!later_.empty()) return 0;
  if (timers_.empty()) return -1;
  const absl::Duration left = timers_.begin()->first.first - Clock::Real().SteadyNow();
  // Rounded up: to wake early would be to wake twice.
  const int64_t wait = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
  return static_cast<int>(std::clamp<int64_t>(wait, 0, 60'000));
}

void Loop::Watch(int fd, uint32_t events, std::function<void(uint32_t)> ready) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  auto& watched = watched_[fd];
  // A socket that was closed unseen is no longer in the set, whatever we remember of its number.
  if (watched == nullptr || ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  watched = std::make_shared<std::function<void(uint32_t)>>(std::move(ready));
}

void Loop::Unwatch(int fd) {
  if (watched_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::At(SteadyTime when, std::function<void()> due) {
  const TimerId id(when, ++timers_made_);
  timers_.emplace(id, std::move(due));
  return id;
}

Loop::TimerId Loop::After(absl::Duration span, std::function<void()> due) {
  return At(SteadyAfter(Clock::Real().SteadyNow(), span), std::move(due));
}

}  // namespace fleet::probe
