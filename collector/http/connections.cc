#include "collector/http/connections.h"

namespace fleet::collector {

ConnectionTable::ConnectionTable(const ConnectionLimits& limits, Clock& clock, ShutSocket shut)
    : limits_(limits), clock_(clock), shut_(shut) {}

ConnectionTable::Id ConnectionTable::Open(int fd, absl::string_view peer) {
  MutexLock lock(mutex_);
  const Id id = next_++;
  connections_.emplace(id, Connection{fd, std::string(peer), Phase::kRequest, clock_.SteadyNow()});
  // The total first: a shut connection counts for neither limit any more.
  MakeRoom(id, "");
  MakeRoom(id, peer);
  return id;
}

/// Brings the connections of `peer`, or all of them when it is empty, below their limit.
void ConnectionTable::MakeRoom(Id newest, absl::string_view peer) {
  size_t count = 0;
  Id oldest = newest;
  SteadyTime since = SteadyTime::max();
  for (const auto& [id, connection] : connections_) {
    if (connection.shut || (!peer.empty() && connection.peer != peer)) continue;
    ++count;
    if (id == newest || connection.answered()) continue;
    if (connection.since < since || (connection.since == since && id < oldest)) {
      since = connection.since;
      oldest = id;
    }
  }
  if (count <= (peer.empty() ? limits_.total : limits_.per_address)) return;
  if (oldest == newest) {
    if (Connection* const stalled = MostStalled(peer, false)) {
      return Shut(*stalled, shut_for_stall_);
    }
  }
  Shut(connections_.find(oldest)->second, shut_for_limit_);
}

ConnectionTable::Connection* ConnectionTable::MostStalled(absl::string_view peer, bool streams) {
  Connection* most = nullptr;
  const SteadyTime now = clock_.SteadyNow();
  for (auto& [id, connection] : connections_) {
    if (connection.shut || !connection.answered() ||
        (streams && connection.phase != Phase::kStreaming) ||
        (!peer.empty() && connection.peer != peer) || now - connection.progress < limits_.stall) {
      continue;
    }
    if (most == nullptr || connection.progress < most->progress) most = &connection;
  }
  return most;
}

void ConnectionTable::Shut(Connection& connection, uint64_t& count) {
  connection.shut = true;
  ++count;
  shut_(connection.fd);
}

void ConnectionTable::Enter(Id id, Phase phase) {
  MutexLock lock(mutex_);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  found->second.phase = phase;
  found->second.since = found->second.progress = clock_.SteadyNow();
}

bool ConnectionTable::RoomForStream() {
  size_t streams = 0;
  for (const auto& [id, connection] : connections_) {
    if (!connection.shut && connection.phase == Phase::kStreaming) ++streams;
  }
  if (streams < limits_.streams) return true;
  Connection* const stalled = MostStalled("", true);
  if (stalled == nullptr) return false;
  Shut(*stalled, shut_for_stall_);
  return true;
}

bool ConnectionTable::MakeRoomForStream() {
  MutexLock lock(mutex_);
  return RoomForStream();
}

bool ConnectionTable::Streaming(Id id) {
  MutexLock lock(mutex_);
  if (!RoomForStream()) return false;
  const auto found = connections_.find(id);
  if (found == connections_.end()) return true;
  found->second.phase = Phase::kStreaming;
  found->second.progress = clock_.SteadyNow();
  return true;
}

void ConnectionTable::Progress(Id id) {
  MutexLock lock(mutex_);
  const auto found = connections_.find(id);
  if (found != connections_.end()) found->second.progress = clock_.SteadyNow();
}

void ConnectionTable::RequestBegun(Id id) { Enter(id, Phase::kRequest); }
void ConnectionTable::Answering(Id id) { Enter(id, Phase::kAnswering); }
void ConnectionTable::Answered(Id id) { Enter(id, Phase::kIdle); }

void ConnectionTable::Closed(Id id) {
  MutexLock lock(mutex_);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  if (found->second.phase == Phase::kRequest && !found->second.shut) ++without_request_;
  connections_.erase(found);
}

absl::Duration ConnectionTable::Allowed(Phase phase) const {
  switch (phase) {
    case Phase::kRequest:
      return limits_.request;
    case Phase::kIdle:
      return limits_.idle;
    case Phase::kAnswering:
    case Phase::kStreaming:
      return limits_.response;
  }
  return limits_.request;
}

void ConnectionTable::ShutOverdue() {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  for (auto& [id, connection] : connections_) {
    if (connection.shut || now - connection.since <= Allowed(connection.phase)) continue;
    Shut(connection, shut_for_deadline_);
  }
}

size_t ConnectionTable::size() const {
  MutexLock lock(mutex_);
  return connections_.size();
}
uint64_t ConnectionTable::shut_for_limit() const {
  MutexLock lock(mutex_);
  return shut_for_limit_;
}
uint64_t ConnectionTable::shut_for_deadline() const {
  MutexLock lock(mutex_);
  return shut_for_deadline_;
}

uint64_t ConnectionTable::shut_for_stall() const {
  MutexLock lock(mutex_);
  return shut_for_stall_;
}
uint64_t ConnectionTable::without_request() const {
  MutexLock lock(mutex_);
  return without_request_;
}

}  // namespace fleet::collector
