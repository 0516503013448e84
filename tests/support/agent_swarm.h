#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "agent/backoff.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "tests/support/test_ca.h"

namespace grpc {
class ChannelCredentials;
}  // namespace grpc

namespace fleet::test {

/// So many agents as far as a collector can tell: each has a certificate and a connection of its
/// own, says hello, sends one report, and when its stream ends it comes back as agents do, after
/// agent/backoff.h's pause and over a new channel. Give the process descriptors enough.
class AgentSwarm {
 public:
  /// Agents "host0" and so on of `ca`, for a collector at localhost:`port`. None starts yet.
  AgentSwarm(uint16_t port, const TestCa& ca, size_t count);
  ~AgentSwarm();
  AgentSwarm(const AgentSwarm&) = delete;
  AgentSwarm& operator=(const AgentSwarm&) = delete;

  /// All connect, one after the other as fast as two cores serve them. Who loses the collector then
  /// comes back by agent/backoff.h.
  void Start();
  size_t size() const { return agents_.size(); }
  /// Agents whose report on their present stream was acknowledged.
  size_t streaming() const;
  /// Connections tried so far.
  uint64_t attempts() const;
  /// How the last attempt ended that ended otherwise than by the collector's death; for messages.
  std::string last_error() const;

 private:
  class Attempt;
  struct Agent {
    std::string host;
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    agent::Backoff backoff;
    Attempt* attempt = nullptr;
    bool streaming = false;
    uint64_t segment = 0;
  };
  using Due = std::pair<SteadyTime, size_t>;
  static constexpr absl::Duration kStartPause = absl::Milliseconds(4);

  void Run(const std::stop_token& stop);
  void Try(size_t index);
  uint64_t NextSegment(size_t index);
  void Acked(size_t index);
  void Ended(size_t index, const absl::Status& status, bool welcomed, absl::Duration life);

  const uint16_t port_;
  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Agent> agents_ ABSL_GUARDED_BY(mutex_);
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_ ABSL_GUARDED_BY(mutex_);
  size_t streaming_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t attempts_ ABSL_GUARDED_BY(mutex_) = 0;
  // Ended. Not deleted in a callback of theirs: with the last channel gRPC ends the threads that
  // call back.
  std::vector<std::unique_ptr<Attempt>> over_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::test
