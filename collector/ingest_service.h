#pragma once

#include <condition_variable>
#include <deque>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "collector/identity.h"
#include "collector/ingest.h"
#include "collector/rate_limiter.h"
#include "collector/unread.h"
#include "common/mutex.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::collector {

/// Ingest over gRPC: a thin adapter between its callbacks and IngestHub. Nothing in it blocks.
class IngestService final : public v1::Ingest::CallbackService {
 public:
  /// Streams that one host may have open at once: two for each of a few connections that may be
  /// dying; and how fast it may open new ones.
  static constexpr size_t kStreamsMax = 8;
  static constexpr double kOpensPerSecond = 5;
  static constexpr double kOpensBurst = 100;

  /// Without certificates, as `gate` knows, hellos name their hosts. Counts what it reads of a
  /// connection for `unread`. All must outlive it.
  IngestService(IngestHub& hub, SelfMetrics& metrics, Gate& gate, const UnreadWatch& unread,
                Clock& clock);
  ~IngestService() override;

  grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* Upload(
      grpc::CallbackServerContext* context) override;

 private:
  class Link;
  class Reactor;

  /// Counts a stream of `host` in. Errors: kResourceExhausted beyond a limit.
  absl::Status Enter(const std::string& host);
  void Leave(const std::string& host);
  void TakeLater(Reactor* reactor);
  void TakeLoop(const std::stop_token& stop);

  IngestHub& hub_;
  SelfMetrics& metrics_;
  Gate& gate_;
  const UnreadWatch& unread_;
  RateLimiter opens_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, size_t> open_ ABSL_GUARDED_BY(mutex_);  // streams, by host
  std::condition_variable_any wake_;
  std::deque<Reactor*> later_ ABSL_GUARDED_BY(mutex_);  // each counted as a user
  std::jthread taker_;                                  // last: it uses all of the above
};

}  // namespace fleet::collector
