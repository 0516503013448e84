#include "fleetctl/announce_client.h"

#include "fleet/v1/announce.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
absl::StatusOr<v1::Announcement> PostAnnouncement(const ClientOptions& options,
                                                  const v1::AnnouncePostRequest& request) {
  return CallOnce<v1::Announce>(options, &v1::Announce::Stub::Post, request);
}

absl::StatusOr<v1::Announcement> UpdateAnnouncement(const ClientOptions& options,
                                                    const v1::AnnounceUpdateRequest& request) {
  return CallOnce<v1::Announce>(options, &v1::Announce::Stub::Update, request);
}

absl::StatusOr<v1::AnnounceListReply> FetchAnnouncements(const ClientOptions& options,
                                                         const v1::AnnounceListRequest& request) {
  return CallOnce<v1::Announce>(options, &v1::Announce::Stub::List, request);
}

}  // namespace fleet::ctl
