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
  absl::Duration request = absl::Seconds(10);   // from its first line to the end of its body
  absl::Duration idle = absl::Seconds(120);     // between two requests
  absl::Duration response = absl::Seconds(60);  // until its last byte is taken
  /// Bodies made piece by piece at the same time: each holds a view of the whole fleet.
  size_t streams = 16;
  /// Who took no piece of its answer for so long gives way when others wait, the longest first.
  absl::Duration stall = absl::Milliseconds(200);
};

/// Who is connected and what each is waiting for, so that neither slow nor many clients keep others
/// out: every phase has an absolute deadline, and when a limit is reached somebody gives way to the
/// new one: who has waited longest without a whole request, else who reads its answer slowest.
/// Closing is done by `shut`, called with the file descriptor under the table's lock, while it is
/// certainly still that connection's. Thread-safe.
class ConnectionTable {
 public:
  using ShutSocket = void (*)(int fd);
  using Id = uint64_t;

  ConnectionTable(const ConnectionLimits& limits, Clock& clock, ShutSocket shut);

  /// A new connection; shuts the one that gives way, which is the new one itself when every other
  /// is being answered and reads.
  Id Open(int fd, absl::string_view peer);
  void RequestBegun(Id id);
  void Answering(Id id);
  /// Its answer will be made piece by piece. False beyond the limit of streams when none of the
  /// others stalls: then it waits for its turn.
  bool Streaming(Id id);
  /// Whether Streaming would have room for one more; a stream that stalls is shut to make some.
  bool MakeRoomForStream();
  /// It has room for the next piece of its answer.
  void Progress(Id id);
  void Answered(Id id);
  void Closed(Id id);

  /// Shuts every connection past the deadline of its phase.
  void ShutOverdue();

  size_t size() const;
  uint64_t shut_for_limit() const;
  uint64_t shut_for_deadline() const;
  uint64_t shut_for_stall() const;
  /// Closed by the other end, or by the server for what it sent, before a whole request was there.
  uint64_t without_request() const;

 private:
  enum class Phase { kRequest, kIdle, kAnswering, kStreaming };
  struct Connection {
    int fd;
    std::string peer;
    Phase phase;
    SteadyTime since;
    SteadyTime progress{};  // while it is answered: when it last took something
    bool shut = false;

    bool answered() const { return phase == Phase::kAnswering || phase == Phase::kStreaming; }
  };

  void Enter(Id id, Phase phase);
  void MakeRoom(Id newest, absl::string_view peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Of those being answered (of `peer`, unless empty; only streams, if asked), who stalls longest.
  Connection* MostStalled(absl::string_view peer, bool streams)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RoomForStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Shut(Connection& connection, uint64_t& count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Allowed(Phase phase) const;

  const ConnectionLimits limits_;
  Clock& clock_;
  const ShutSocket shut_;
  mutable Mutex mutex_;
  absl::flat_hash_map<Id, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  Id next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t shut_for_limit_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t shut_for_deadline_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t shut_for_stall_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t without_request_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fleet::collector
