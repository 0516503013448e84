#pragma once

#include "collector/events.h"
#include "collector/identity.h"
#include "collector/key_store.h"
#include "collector/trust.h"
#include "fleet/v1/keys.grpc.pb.h"

namespace fleet::collector {

/// The keys of the HTTP API over gRPC: a thin adapter, whose work is done on the thread of Trust.
class KeysService final : public v1::Keys::CallbackService {
 public:
  /// Everything given must outlive it.
  struct Parts {
    KeyStore& store;
    Trust& trust;
    EventLog& events;
    Gate& gate;
    Clock& clock;
  };
  explicit KeysService(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* New(grpc::CallbackServerContext* context,
                                const v1::NewKeyRequest* request, v1::NewKeyReply* reply) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::ListKeysRequest* request,
                                 v1::ListKeysReply* reply) override;
  grpc::ServerUnaryReactor* Revoke(grpc::CallbackServerContext* context,
                                   const v1::RevokeKeyRequest* request,
                                   v1::RevokeKeyReply* reply) override;

 private:
  /// Runs `work(name of the caller)`, which returns a Status, on the thread of Trust.
  template <typename Work>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Work work);
  void Tell(const std::string& key, const std::string& to, const std::string& text);

  const Parts parts_;
};

}  // namespace fleet::collector
