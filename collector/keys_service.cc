#include "collector/keys_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

double ToSeconds(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

}  // namespace

template <typename Work>
grpc::ServerUnaryReactor* KeysService::Answer(grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::StatusOr<Identity> caller = parts_.gate.Identify(PeerOf(*context));
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status()));
    return reactor;
  }
  const bool taken =
      parts_.trust.Run(Trust::Turn::kAdmin, [reactor, name = caller->name, work = std::move(work)] {
        reactor->Finish(ToGrpc(work(name)));
      });
  if (!taken) {
    reactor->Finish(ToGrpc(absl::ResourceExhaustedError("too many calls wait; try again")));
  }
  return reactor;
}

void KeysService::Tell(const std::string& key, const std::string& to, const std::string& text) {
  log::Info("key", {{"name", key}, {"what", text}});
  Event event;
  event.time = parts_.clock.Now();
  event.subject = key;
  event.kind = "key";
  event.to = to;
  event.text = text;
  parts_.events.Append(std::move(event));
}

grpc::ServerUnaryReactor* KeysService::New(grpc::CallbackServerContext* context,
                                           const v1::NewKeyRequest* request,
                                           v1::NewKeyReply* reply) {
  return Answer(context, [this, request, reply](const std::string& caller) -> absl::Status {
    const KeyAccess access = request->read_only() ? KeyAccess::kRead : KeyAccess::kFull;
    FLEET_ASSIGN_OR_RETURN(*reply->mutable_key(),
                           parts_.store.New(request->name(), access, caller));
    Tell(request->name(), "made",
         absl::StrCat("the ", request->read_only() ? "read-only" : "full", " key ", request->name(),
                      " was made", caller.empty() ? "" : " by ", caller));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* KeysService::List(grpc::CallbackServerContext* context,
                                            const v1::ListKeysRequest*, v1::ListKeysReply* reply) {
  return Answer(context, [this, reply](const std::string&) -> absl::Status {
    FLEET_ASSIGN_OR_RETURN(const std::vector<KeyRecord> keys, parts_.store.List());
    for (const KeyRecord& record : keys) {
      v1::ListKeysReply::Key& key = *reply->add_keys();
      key.set_name(record.name);
      key.set_read_only(record.access == KeyAccess::kRead);
      key.set_made_seconds(ToSeconds(record.made));
      key.set_made_by(record.made_by);
      key.set_last_used_seconds(ToSeconds(record.last_used));
      key.set_revoked_seconds(ToSeconds(record.revoked));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* KeysService::Revoke(grpc::CallbackServerContext* context,
                                              const v1::RevokeKeyRequest* request,
                                              v1::RevokeKeyReply*) {
  return Answer(context, [this, request](const std::string& caller) -> absl::Status {
    FLEET_RETURN_IF_ERROR(parts_.store.Revoke(request->name()));
    Tell(request->name(), "revoked",
         absl::StrCat("the key ", request->name(), " was revoked", caller.empty() ? "" : " by ",
                      caller));
    return absl::OkStatus();
  });
}

}  // namespace fleet::collector
