#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

struct ConnectionLimits {
  size_t total = 200;
  size_t per_address = 100;
  absl::Duration request = absl::Seconds(10);   // from its first line to the end of its headers
  absl::Duration idle = absl::Seconds(120);     // between two requests
  absl::Duration response = absl::Seconds(60);  // until its last byte is taken
};

/// Who is connected and what each is waiting for, so that neither slow nor many clients keep others
/// out: every phase has an absolute deadline, and when a limit is reached the connection that has
/// waited longest without a whole request gives way to the new one. Closing is done by `shut`,
/// called with the file descriptor under the table's lock, while it is certainly still that
/// connection's. Thread-safe.
class ConnectionTable {
 public:
  using Shut = void (*)(int fd);
  using Id = uint64_t;

  ConnectionTable(const ConnectionLimits& limits, Clock& clock, Shut shut);

  /// A new connection; shuts the one that gives way, which is the new one itself when every other
  /// is being answered.
  Id Open(int fd, absl::string_view peer);
  void RequestBegun(Id id);
  void Answering(Id id);
  void Answered(Id id);
  void Closed(Id id);

  /// Shuts every connection past the deadline of its phase.
  void ShutOverdue();

  size_t size() const;
  uint64_t shut_for_limit() const;
  uint64_t shut_for_deadline() const;

 private:
  enum class Phase { kRequest, kIdle, kAnswering };
  struct Connection {
    int fd;
    std::string peer;
    Phase phase;
    SteadyTime since;
    bool shut = false;
  };

  void Enter(Id id, Phase phase);
  bool MakeRoom(Id newest, absl::string_view peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Allowed(Phase phase) const;

  const ConnectionLimits limits_;
  Clock& clock_;
  const Shut shut_;
  mutable Mutex mutex_;
  absl::flat_hash_map<Id, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  Id next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t shut_for_limit_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t shut_for_deadline_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fleet::collector
