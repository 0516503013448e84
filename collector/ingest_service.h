#pragma once

#include "collector/identity.h"
#include "collector/ingest.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::collector {

/// Ingest over gRPC: a thin adapter between its callbacks and IngestHub. Nothing in it blocks.
class IngestService final : public v1::Ingest::CallbackService {
 public:
  /// Without certificates, as `gate` knows, hellos name their hosts.
  IngestService(IngestHub& hub, SelfMetrics& metrics, Gate& gate)
      : hub_(hub), metrics_(metrics), gate_(gate) {}

  grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* Upload(
      grpc::CallbackServerContext* context) override;

 private:
  class Reactor;

  IngestHub& hub_;
  SelfMetrics& metrics_;
  Gate& gate_;
};

}  // namespace fleet::collector
