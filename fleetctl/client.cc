#include "fleetctl/client.h"

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/status_macros.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "fleet/v1/history.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
namespace {

/// A stub of `Service`, such as v1::Fleet.
template <typename Service>
absl::StatusOr<std::unique_ptr<typename Service::Stub>> Connect(const ClientOptions& options) {
  FLEET_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
  return Service::NewStub(channel);
}

}  // namespace

absl::Status ToStatus(const ClientOptions& options, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string said = OneLine(status.error_message());
  if (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded) {
    return absl::Status(
        code, absl::StrCat("no answer from the collector at ", options.collector, ": ", said));
  }
  return absl::Status(code, said);
}

namespace {

/// Reading a month takes its time.
constexpr auto kPastTimeout = std::chrono::seconds(120);

/// One call of `Service`.
template <typename Service, typename Reply, typename Request>
absl::StatusOr<Reply> Ask(const ClientOptions& options, const Request& request,
                          grpc::Status (Service::Stub::*method)(grpc::ClientContext*,
                                                                const Request&, Reply*),
                          std::chrono::milliseconds timeout = kPastTimeout) {
  FLEET_ASSIGN_OR_RETURN(const std::unique_ptr<typename Service::Stub> stub,
                         Connect<Service>(options));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  Reply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(options, (stub.get()->*method)(&context, request, &reply)));
  return reply;
}

}  // namespace

absl::StatusOr<v1::SeriesReply> FetchSeries(const ClientOptions& options,
                                            const v1::SeriesRequest& request) {
  return Ask<v1::History>(options, request, &v1::History::Stub::Series);
}

absl::StatusOr<v1::StatusReply> FetchStatusAt(const ClientOptions& options,
                                              const v1::StatusAtRequest& request) {
  return Ask<v1::History>(options, request, &v1::History::Stub::StatusAt);
}

absl::StatusOr<v1::EventsReply> FetchEvents(const ClientOptions& options,
                                            const v1::EventsRequest& request) {
  return Ask<v1::History>(options, request, &v1::History::Stub::Events);
}

absl::StatusOr<v1::ProbesReply> FetchProbes(const ClientOptions& options,
                                            const v1::ProbesRequest& request) {
  return Ask<v1::Fleet>(options, request, &v1::Fleet::Stub::Probes,
                        absl::ToChronoMilliseconds(options.timeout));
}

absl::StatusOr<v1::DowntimesReply> FetchDowntimes(const ClientOptions& options,
                                                  const v1::DowntimesRequest& request) {
  return Ask<v1::Fleet>(options, request, &v1::Fleet::Stub::Downtimes);
}

absl::Status FetchExport(const ClientOptions& options, const v1::ExportRequest& request,
                         absl::FunctionRef<bool(const v1::ExportChunk&)> take) {
  FLEET_ASSIGN_OR_RETURN(const std::unique_ptr<v1::History::Stub> stub,
                         Connect<v1::History>(options));
  grpc::ClientContext context;
  const auto reader = stub->Export(&context, request);
  v1::ExportChunk chunk;
  while (reader->Read(&chunk)) {
    if (take(chunk)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  const grpc::Status status = reader->Finish();
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    return absl::UnavailableError(
        "the collector has ended the export, and could not say why: nothing of it was read for a "
        "minute, or you are not let in any more");
  }
  return ToStatus(options, status);
}

absl::StatusOr<v1::StatusReply> FetchStatus(const ClientOptions& options,
                                            const v1::StatusRequest& request) {
  FLEET_ASSIGN_OR_RETURN(const std::unique_ptr<v1::Fleet::Stub> stub, Connect<v1::Fleet>(options));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options.timeout));
  const auto reader = stub->Status(&context, request);
  v1::StatusReply reply;
  const bool got = reader->Read(&reply);
  if (got) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (got) return reply;
  FLEET_RETURN_IF_ERROR(ToStatus(options, status));
  return absl::UnavailableError("the collector closed the stream without an answer");
}

absl::Status WatchStatus(const ClientOptions& options, v1::StatusRequest request,
                         absl::FunctionRef<bool(const v1::StatusReply&)> show) {
  FLEET_ASSIGN_OR_RETURN(const std::unique_ptr<v1::Fleet::Stub> stub, Connect<v1::Fleet>(options));
  grpc::ClientContext context;
  request.set_watch(true);
  const auto reader = stub->Status(&context, request);
  v1::StatusReply reply;
  while (reader->Read(&reply)) {
    if (show(reply)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  const grpc::Status status = reader->Finish();
  FLEET_RETURN_IF_ERROR(ToStatus(options, status));
  return absl::UnavailableError("the collector closed the stream");
}

}  // namespace fleet::ctl
