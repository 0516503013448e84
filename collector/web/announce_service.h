#pragma once

#include "collector/events.h"
#include "collector/identity.h"
#include "collector/web/announcements.h"
#include "collector/web/web.h"
#include "common/clock.h"
#include "fleet/v1/announce.grpc.pb.h"

namespace fleet::collector {

/// Announcements over gRPC: a thin adapter, which hands each call to the thread of Web. When a call
/// returns, the pages show what it said.
class AnnounceService final : public v1::Announce::CallbackService {
 public:
  /// Everything given must outlive it.
  AnnounceService(AnnouncementStore& store, Web& web, EventLog& events, Clock& clock, Gate& gate)
      : store_(store), web_(web), events_(events), clock_(clock), gate_(gate) {}

  grpc::ServerUnaryReactor* Post(grpc::CallbackServerContext* context,
                                 const v1::AnnouncePostRequest* request,
                                 v1::Announcement* reply) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const v1::AnnounceUpdateRequest* request,
                                   v1::Announcement* reply) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::AnnounceListRequest* request,
                                 v1::AnnounceListReply* reply) override;

 private:
  template <typename Work>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, bool changes, Work work);
  void Note(const Announcement& announcement);

  AnnouncementStore& store_;
  Web& web_;
  EventLog& events_;
  Clock& clock_;
  Gate& gate_;
};

}  // namespace fleet::collector
