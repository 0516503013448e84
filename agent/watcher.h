#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agent/check.h"
#include "agent/host_fs.h"
#include "common/mutex.h"
#include "common/scoped_fd.h"

namespace fleet::agent {

/// Waits for what the kernel and daemons announce, so that a check need not wait for its interval.
/// One thread in poll(). What cannot be watched (no such file, no right, a fixture host) is left to
/// the interval. Update may be called by any thread; `trigger` is called by the watcher's own.
class Watcher {
 public:
  Watcher(HostFs fs, std::function<void(const std::string& check)> trigger);
  ~Watcher();

  /// Replaces what may trigger `check`.
  void Update(const std::string& check, std::vector<Watch> watches);

 private:
  struct Source {
    std::string check;
    Watch watch;
    ScopedFd fd;
    short events = 0;
  };

  void Loop(const std::stop_token& stop);
  std::vector<Source> TakeChanges(std::vector<Source> sources);
  bool Open(Source& source) const;
  void Handle(Source& source, short revents) const;
  void Wake() const;

  const HostFs fs_;
  const std::function<void(const std::string&)> trigger_;
  ScopedFd wake_;
  Mutex mutex_;
  std::map<std::string, std::vector<Watch>> changes_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace fleet::agent
