#include "collector/trust_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"

namespace fleet::collector {
namespace {

const absl::Status& BusyStatus() {
  static const auto* const kStatus =
      new absl::Status(absl::StatusCode::kResourceExhausted, "too many calls wait; try again");
  return *kStatus;
}

}  // namespace

template <typename Reply, typename Work>
grpc::ServerUnaryReactor* TrustService::Answer(grpc::CallbackServerContext* context,
                                               Trust::Turn turn, Reply* reply, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::StatusOr<Identity> caller = gate_.Identify(PeerOf(*context));
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status()));
    return reactor;
  }
  const bool taken =
      trust_.Run(turn, [reactor, reply, caller = *std::move(caller), work = std::move(work)] {
        absl::StatusOr<Reply> result = work(caller);
        const absl::Status status = result.status();
        if (status.ok()) *reply = *std::move(result);
        reactor->Finish(ToGrpc(status));
      });
  if (!taken) reactor->Finish(ToGrpc(BusyStatus()));
  return reactor;
}

grpc::ServerUnaryReactor* TrustService::Join(grpc::CallbackServerContext* context,
                                             const v1::JoinRequest* request, v1::JoinReply* reply) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const std::string address = PeerOf(*context).address;
  if (!trust_.MayJoin(address)) {
    reactor->Finish(ToGrpc(absl::ResourceExhaustedError(
        "refused (token_rate): too many attempts to join; wait a minute")));
    return reactor;
  }
  const bool taken = trust_.Run(Trust::Turn::kMember, [this, reactor, request, reply, address] {
    absl::StatusOr<v1::JoinReply> result = trust_.Join(*request, address);
    const absl::Status status = result.status();
    if (status.ok()) *reply = *std::move(result);
    reactor->Finish(ToGrpc(status));
  });
  if (!taken) reactor->Finish(ToGrpc(BusyStatus()));
  return reactor;
}

grpc::ServerUnaryReactor* TrustService::Renew(grpc::CallbackServerContext* context,
                                              const v1::RenewRequest*, v1::RenewReply* reply) {
  const Peer peer = PeerOf(*context);
  absl::Status may;
  // Who is nobody is told so below.
  if (const auto member = gate_.Identify(peer); member.ok()) {
    may = trust_.MayRenew(*member, peer.address);
  }
  if (!may.ok()) {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(may));
    return reactor;
  }
  return Answer(context, Trust::Turn::kMember, reply,
                [this, certificate = peer.certificate](const Identity& caller) {
                  return trust_.Renew(caller, certificate);
                });
}

grpc::ServerUnaryReactor* TrustService::Enroll(grpc::CallbackServerContext* context,
                                               const v1::EnrollRequest* request,
                                               v1::EnrollReply* reply) {
  return Answer(context, Trust::Turn::kAdmin, reply, [this, request](const Identity& caller) {
    return trust_.Enroll(caller, *request);
  });
}

grpc::ServerUnaryReactor* TrustService::Revoke(grpc::CallbackServerContext* context,
                                               const v1::RevokeRequest* request,
                                               v1::RevokeReply* reply) {
  return Answer(context, Trust::Turn::kAdmin, reply, [this, request](const Identity& caller) {
    return trust_.Revoke(caller, *request);
  });
}

grpc::ServerUnaryReactor* TrustService::Retire(grpc::CallbackServerContext* context,
                                               const v1::RetireRequest* request,
                                               v1::RetireReply* reply) {
  return Answer(context, Trust::Turn::kAdmin, reply, [this, request](const Identity& caller) {
    return trust_.Retire(caller, *request);
  });
}

grpc::ServerUnaryReactor* TrustService::Certificates(grpc::CallbackServerContext* context,
                                                     const v1::CertificatesRequest*,
                                                     v1::CertificatesReply* reply) {
  return Answer(context, Trust::Turn::kAdmin, reply,
                [this](const Identity&) { return trust_.Certificates(); });
}

}  // namespace fleet::collector
