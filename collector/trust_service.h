#pragma once

#include "collector/identity.h"
#include "collector/trust.h"
#include "fleet/v1/trust.grpc.pb.h"

namespace fleet::collector {

/// Trust over gRPC: a thin adapter, which hands each call to the thread of Trust.
class TrustService final : public v1::Trust::CallbackService {
 public:
  TrustService(Trust& trust, Gate& gate) : trust_(trust), gate_(gate) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request, v1::JoinReply* reply) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request, v1::RenewReply* reply) override;
  grpc::ServerUnaryReactor* Enroll(grpc::CallbackServerContext* context,
                                   const v1::EnrollRequest* request,
                                   v1::EnrollReply* reply) override;
  grpc::ServerUnaryReactor* Revoke(grpc::CallbackServerContext* context,
                                   const v1::RevokeRequest* request,
                                   v1::RevokeReply* reply) override;
  grpc::ServerUnaryReactor* Retire(grpc::CallbackServerContext* context,
                                   const v1::RetireRequest* request,
                                   v1::RetireReply* reply) override;
  grpc::ServerUnaryReactor* Certificates(grpc::CallbackServerContext* context,
                                         const v1::CertificatesRequest* request,
                                         v1::CertificatesReply* reply) override;

 private:
  /// Runs `work(identity)` on the thread of Trust and answers with what it returns.
  template <typename Reply, typename Work>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Trust::Turn turn,
                                   Reply* reply, Work work);

  Trust& trust_;
  Gate& gate_;
};

}  // namespace fleet::collector
