#include "collector/http/connections.h"

namespace fleet::collector {

ConnectionTable::ConnectionTable(const ConnectionLimits& limits, Clock& clock, Shut shut)
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
bool ConnectionTable::MakeRoom(Id newest, absl::string_view peer) {
  size_t count = 0;
  Id oldest = newest;
  SteadyTime since = SteadyTime::max();
  for (const auto& [id, connection] : connections_) {
    if (connection.shut || (!peer.empty() && connection.peer != peer)) continue;
    ++count;
    if (id == newest || connection.phase == Phase::kAnswering) continue;
    if (connection.since < since || (connection.since == since && id < oldest)) {
      since = connection.since;
      oldest = id;
    }
  }
  if (count <= (peer.empty() ? limits_.total : limits_.per_address)) return false;
  Connection& victim = connections_.find(oldest)->second;
  victim.shut = true;
  ++shut_for_limit_;
  shut_(victim.fd);
  return true;
}

void ConnectionTable::Enter(Id id, Phase phase) {
  MutexLock lock(mutex_);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  found->second.phase = phase;
  found->second.since = clock_.SteadyNow();
}

void ConnectionTable::RequestBegun(Id id) { Enter(id, Phase::kRequest); }
void ConnectionTable::Answering(Id id) { Enter(id, Phase::kAnswering); }
void ConnectionTable::Answered(Id id) { Enter(id, Phase::kIdle); }

void ConnectionTable::Closed(Id id) {
  MutexLock lock(mutex_);
  connections_.erase(id);
}

absl::Duration ConnectionTable::Allowed(Phase phase) const {
  switch (phase) {
    case Phase::kRequest:
      return limits_.request;
    case Phase::kIdle:
      return limits_.idle;
    case Phase::kAnswering:
      return limits_.response;
  }
  return limits_.request;
}

void ConnectionTable::ShutOverdue() {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  for (auto& [id, connection] : connections_) {
    if (connection.shut || now - connection.since <= Allowed(connection.phase)) continue;
    connection.shut = true;
    ++shut_for_deadline_;
    shut_(connection.fd);
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

}  // namespace fleet::collector
