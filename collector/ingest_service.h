#pragma once

#include <condition_variable>
#include <deque>
#include <thread>

#include "collector/identity.h"
#include "collector/ingest.h"
#include "common/mutex.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::collector {

/// Ingest over gRPC: a thin adapter between its callbacks and IngestHub. Nothing in it blocks.
class IngestService final : public v1::Ingest::CallbackService {
 public:
  /// Without certificates, as `gate` knows, hellos name their hosts.
  IngestService(IngestHub& hub, SelfMetrics& metrics, Gate& gate);
  ~IngestService() override;

  grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* Upload(
      grpc::CallbackServerContext* context) override;

 private:
  class Link;
  class Reactor;

  void TakeLater(Reactor* reactor);
  void TakeLoop(const std::stop_token& stop);

  IngestHub& hub_;
  SelfMetrics& metrics_;
  Gate& gate_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Reactor*> later_ ABSL_GUARDED_BY(mutex_);  // each counted as a user
  std::jthread taker_;                                  // last: it uses all of the above
};

}  // namespace fleet::collector
