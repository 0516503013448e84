#include "fleetctl/announce_client.h"

#include "common/status_macros.h"
#include "fleet/v1/announce.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
namespace {

template <typename Request, typename Reply>
using Method = grpc::Status (v1::Announce::Stub::*)(grpc::ClientContext*, const Request&, Reply*);

template <typename Request, typename Reply>
absl::StatusOr<Reply> Call(const ClientOptions& options, Method<Request, Reply> method,
                           const Request& request) {
  FLEET_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
  const auto stub = v1::Announce::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options.timeout));
  Reply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(options, (stub.get()->*method)(&context, request, &reply)));
  return reply;
}

}  // namespace

absl::StatusOr<v1::Announcement> PostAnnouncement(const ClientOptions& options,
                                                  const v1::AnnouncePostRequest& request) {
  return Call(options, &v1::Announce::Stub::Post, request);
}

absl::StatusOr<v1::Announcement> UpdateAnnouncement(const ClientOptions& options,
                                                    const v1::AnnounceUpdateRequest& request) {
  return Call(options, &v1::Announce::Stub::Update, request);
}

absl::StatusOr<v1::AnnounceListReply> FetchAnnouncements(const ClientOptions& options,
                                                         const v1::AnnounceListRequest& request) {
  return Call(options, &v1::Announce::Stub::List, request);
}

}  // namespace fleet::ctl
