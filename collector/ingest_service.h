#pragma once

#include "collector/ingest.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::collector {

/// Ingest over gRPC: a thin adapter between its callbacks and IngestHub. Nothing in it blocks.
class IngestService final : public v1::Ingest::CallbackService {
 public:
  /// `insecure`: the server speaks plaintext, and hellos name their hosts.
  IngestService(IngestHub& hub, SelfMetrics& metrics, bool insecure)
      : hub_(hub), metrics_(metrics), insecure_(insecure) {}

  grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* Upload(
      grpc::CallbackServerContext* context) override;

 private:
  class Reactor;

  IngestHub& hub_;
  SelfMetrics& metrics_;
  const bool insecure_;
};

}  // namespace fleet::collector
