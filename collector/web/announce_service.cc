#include "collector/web/announce_service.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "collector/web/markdown.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr size_t kEventTextBytesMax = 200;

std::optional<AnnouncementState> ToState(v1::AnnouncementState state) {
  if (!v1::AnnouncementState_IsValid(state) || state == 0) return std::nullopt;
  return static_cast<AnnouncementState>(static_cast<int>(state));
}

void ToProto(const Announcement& from, v1::Announcement& to) {
  to.set_id(from.id);
  for (const AnnouncementUpdate& update : from.updates) {
    v1::Announcement::Update& added = *to.add_updates();
    added.set_unix_seconds(absl::ToDoubleSeconds(update.time - absl::UnixEpoch()));
    added.set_state(static_cast<v1::AnnouncementState>(static_cast<int>(update.state)));
    added.set_text(update.text);
    added.set_by(update.by);
  }
}

}  // namespace

template <typename Work>
grpc::ServerUnaryReactor* AnnounceService::Answer(grpc::CallbackServerContext* context,
                                                  bool changes, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::StatusOr<Identity> caller = gate_.Identify(PeerOf(*context));
  if (!caller.ok()) {
    reactor->Finish(ToGrpc(caller.status()));
    return reactor;
  }
  const auto result = std::make_shared<absl::Status>();
  const bool taken = web_.Run(
      [result, changes, by = caller->name, work = std::move(work)] {
        *result = work(by);
        return changes && result->ok();
      },
      [result, reactor] { reactor->Finish(ToGrpc(*result)); });
  if (!taken) {
    reactor->Finish(ToGrpc(absl::ResourceExhaustedError("too many calls wait; try again")));
  }
  return reactor;
}

void AnnounceService::Note(const Announcement& announcement) {
  const AnnouncementUpdate& update = announcement.updates.back();
  Event event;
  event.time = clock_.Now();
  event.subject = absl::StrCat("announcement/", announcement.id);
  event.kind = "announced";
  if (announcement.updates.size() > 1) {
    const AnnouncementUpdate& before = announcement.updates[announcement.updates.size() - 2];
    event.from = std::string(AnnouncementStateName(before.state));
  }
  event.to = std::string(AnnouncementStateName(update.state));
  event.text = OneLine(MarkdownToText(update.text), kEventTextBytesMax);
  if (!update.by.empty()) absl::StrAppend(&event.text, " (by ", update.by, ")");
  events_.Append(std::move(event));
}

grpc::ServerUnaryReactor* AnnounceService::Post(grpc::CallbackServerContext* context,
                                                const v1::AnnouncePostRequest* request,
                                                v1::Announcement* reply) {
  return Answer(context, true, [this, request, reply](const std::string& by) -> absl::Status {
    const AnnouncementState state =
        ToState(request->state()).value_or(AnnouncementState::kInvestigating);
    FLEET_ASSIGN_OR_RETURN(const Announcement posted, store_.Post(state, request->text(), by));
    Note(posted);
    ToProto(posted, *reply);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AnnounceService::Update(grpc::CallbackServerContext* context,
                                                  const v1::AnnounceUpdateRequest* request,
                                                  v1::Announcement* reply) {
  return Answer(context, true, [this, request, reply](const std::string& by) -> absl::Status {
    FLEET_ASSIGN_OR_RETURN(
        const Announcement updated,
        store_.Update(request->id(), ToState(request->state()), request->text(), by));
    Note(updated);
    ToProto(updated, *reply);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AnnounceService::List(grpc::CallbackServerContext* context,
                                                const v1::AnnounceListRequest* request,
                                                v1::AnnounceListReply* reply) {
  return Answer(context, false, [this, request, reply](const std::string&) -> absl::Status {
    const size_t limit =
        request->limit() == 0 ? AnnouncementStore::kAnnouncementsMax : request->limit();
    FLEET_ASSIGN_OR_RETURN(const std::vector<Announcement> found, store_.List(limit));
    for (const Announcement& announcement : found)
      ToProto(announcement, *reply->add_announcements());
    return absl::OkStatus();
  });
}

}  // namespace fleet::collector
