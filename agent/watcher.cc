#include "agent/watcher.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

namespace fleet::agent {
namespace {

constexpr size_t kSourcesMax = 1024;

/// Reads what waits on `fd` and drops it.
void Drain(int fd) {
  char buffer[4096];
  while (::read(fd, buffer, sizeof(buffer)) > 0) {
  }
}

ScopedFd OpenLinks() {
  ScopedFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (fd.valid() &&
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fd.Reset();
  }
  return fd;
}

ScopedFd OpenInotify(const std::string& path) {
  ScopedFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // The directory, because the file may appear, or be replaced, later.
  const std::string directory = std::filesystem::path(path).parent_path();
  if (fd.valid() && ::inotify_add_watch(fd.get(), directory.c_str(),
                                        IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_DELETE) < 0) {
    fd.Reset();
  }
  return fd;
}

/// Whether one of the waiting inotify events is about `name`.
bool InotifyNames(int fd, const std::string& name) {
  alignas(inotify_event) char buffer[4096];
  bool named = false;
  ssize_t got = 0;
  while ((got = ::read(fd, buffer, sizeof(buffer))) > 0) {
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      named = named || (event->len > 0 && name == event->name);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  return named;
}

}  // namespace

Watcher::Watcher(HostFs fs, std::function<void(const std::string& check)> trigger)
    : fs_(std::move(fs)),
      trigger_(std::move(trigger)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this](const std::stop_token& stop) { Loop(stop); }) {}

Watcher::~Watcher() {
  thread_.request_stop();
  Wake();
}

void Watcher::Wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void Watcher::Update(const std::string& check, std::vector<Watch> watches) {
  if (!fs_.live()) return;
  {
    MutexLock lock(mutex_);
    changes_[check] = std::move(watches);
  }
  Wake();
}

std::vector<Watcher::Source> Watcher::TakeChanges(std::vector<Source> sources) {
  std::map<std::string, std::vector<Watch>> changes;
  {
    MutexLock lock(mutex_);
    changes.swap(changes_);
  }
  for (auto& change : changes) {
    const std::string& check = change.first;
    std::vector<Watch>& watches = change.second;
    // What stays keeps its descriptor, and with it the events that wait there.
    std::erase_if(sources, [&](const Source& source) {
      return source.check == check &&
             std::find(watches.begin(), watches.end(), source.watch) == watches.end();
    });
    for (Watch& watch : watches) {
      const bool known = std::any_of(sources.begin(), sources.end(), [&](const Source& source) {
        return source.check == check && source.watch == watch;
      });
      Source source{check, std::move(watch), ScopedFd(), 0};
      if (!known && sources.size() < kSourcesMax && Open(source)) {
        sources.push_back(std::move(source));
      }
    }
  }
  return sources;
}

bool Watcher::Open(Source& source) const {
  const std::string path = fs_.Path(source.watch.path);
  switch (source.watch.kind) {
    case Watch::Kind::kPollPriority: {
      source.fd = ScopedFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
      source.events = POLLPRI;
      // Only a change after this read is news.
      if (source.fd.valid()) Drain(source.fd.get());
      break;
    }
    case Watch::Kind::kFileChanged:
      source.fd = OpenInotify(path);
      source.events = POLLIN;
      break;
    case Watch::Kind::kLinks:
      source.fd = OpenLinks();
      source.events = POLLIN;
      break;
    case Watch::Kind::kPressure: {
      source.fd = ScopedFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
      source.events = POLLPRI;
      const std::string& trigger = source.watch.argument;
      if (source.fd.valid() && ::write(source.fd.get(), trigger.c_str(), trigger.size() + 1) < 0) {
        source.fd.Reset();
      }
      break;
    }
  }
  return source.fd.valid();
}

void Watcher::Handle(Source& source, short revents) const {
  switch (source.watch.kind) {
    case Watch::Kind::kPollPriority:
      // mdstat and sysfs want to be opened or read anew before they announce again.
      source.fd.Reset();
      Open(source);
      break;
    case Watch::Kind::kFileChanged: {
      const std::string name = std::filesystem::path(source.watch.path).filename();
      if (!InotifyNames(source.fd.get(), name)) return;
      break;
    }
    case Watch::Kind::kLinks:
      Drain(source.fd.get());
      break;
    case Watch::Kind::kPressure:
      if ((revents & POLLERR) != 0) source.fd.Reset();
      break;
  }
  trigger_(source.check);
}

void Watcher::Loop(const std::stop_token& stop) {
  std::vector<Source> sources;
  while (!stop.stop_requested()) {
    sources = TakeChanges(std::move(sources));
    std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
    for (const Source& source : sources) fds.push_back({source.fd.get(), source.events, 0});
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[0].revents != 0) Drain(wake_.get());
    for (size_t i = 0; i < sources.size(); ++i) {
      if (fds[i + 1].revents != 0) Handle(sources[i], fds[i + 1].revents);
    }
    std::erase_if(sources, [](const Source& source) { return !source.fd.valid(); });
  }
}

}  // namespace fleet::agent
