#pragma once

#include "absl/status/statusor.h"
#include "fleet/v1/announce.pb.h"
#include "fleetctl/client.h"

namespace fleet::ctl {

/// The calls of Announce. Errors: as FetchStatus; kNotFound and kInvalidArgument with the
/// collector's own words.
absl::StatusOr<v1::Announcement> PostAnnouncement(const ClientOptions& options,
                                                  const v1::AnnouncePostRequest& request);
absl::StatusOr<v1::Announcement> UpdateAnnouncement(const ClientOptions& options,
                                                    const v1::AnnounceUpdateRequest& request);
absl::StatusOr<v1::AnnounceListReply> FetchAnnouncements(const ClientOptions& options,
                                                         const v1::AnnounceListRequest& request);

}  // namespace fleet::ctl
