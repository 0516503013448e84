#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fleet/v1/fleet.pb.h"
#include "fleet/v1/history.pb.h"

/// The one door to gRPC: every call has a deadline, every error says what to look at.
namespace fleet::ctl {

struct ClientOptions {
  std::string collector = "127.0.0.1:10235";
  bool insecure = false;  // plaintext; only to loopback
  std::string ca;         // PEM files
  std::string cert;
  std::string key;
  absl::Duration timeout = absl::Seconds(5);
};

/// The state of the fleet now.
/// Errors: kUnavailable, kDeadlineExceeded, kPermissionDenied, kUnauthenticated, and
/// kFailedPrecondition for certificates that cannot be read: exit code 4;
/// kNotFound for a host or check that the collector does not know; kInvalidArgument for options
/// that cannot be.
absl::StatusOr<v1::StatusReply> FetchStatus(const ClientOptions& options,
                                            const v1::StatusRequest& request);

/// The probes, and their downtimes. Errors: those of FetchStatus.
absl::StatusOr<v1::ProbesReply> FetchProbes(const ClientOptions& options,
                                            const v1::ProbesRequest& request);
absl::StatusOr<v1::DowntimesReply> FetchDowntimes(const ClientOptions& options,
                                                  const v1::DowntimesRequest& request);

/// Calls `show` with the state now and after each change, until it returns false or the stream ends
/// (the status says why).
absl::Status WatchStatus(const ClientOptions& options, v1::StatusRequest request,
                         absl::FunctionRef<bool(const v1::StatusReply&)> show);

/// Errors of all that ask for the past: those of FetchStatus, and kFailedPrecondition from a
/// collector that keeps nothing.
absl::StatusOr<v1::SeriesReply> FetchSeries(const ClientOptions& options,
                                            const v1::SeriesRequest& request);
absl::StatusOr<v1::StatusReply> FetchStatusAt(const ClientOptions& options,
                                              const v1::StatusAtRequest& request);
absl::StatusOr<v1::EventsReply> FetchEvents(const ClientOptions& options,
                                            const v1::EventsRequest& request);
/// Gives each piece to `take`, until it returns false or all is there.
absl::Status FetchExport(const ClientOptions& options, const v1::ExportRequest& request,
                         absl::FunctionRef<bool(const v1::ExportChunk&)> take);

}  // namespace fleet::ctl
