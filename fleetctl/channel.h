#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/statusor.h"
#include "fleetctl/client.h"

namespace fleet::ctl {

/// A channel to the collector with the certificates of `options`, for the files that make calls. A
/// certificate that is past two thirds of its life is renewed on the way.
/// Errors: kFailedPrecondition for files that cannot be read, saying what to do; kInvalidArgument
/// for options that cannot be.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ClientOptions& options);

/// What a call returned, in our own words.
absl::Status ToStatus(const ClientOptions& options, const grpc::Status& status);

/// One call of `Service` with a deadline, and its reply. Errors: those of OpenChannel and ToStatus.
template <typename Service, typename Request, typename Reply>
absl::StatusOr<Reply> CallOnce(const ClientOptions& options,
                               grpc::Status (Service::Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Reply*),
                               const Request& request) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = OpenChannel(options);
  if (!channel.ok()) return channel.status();
  const auto stub = Service::NewStub(*channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options.timeout));
  Reply reply;
  const absl::Status status = ToStatus(options, (stub.get()->*method)(&context, request, &reply));
  if (!status.ok()) return status;
  return reply;
}

}  // namespace fleet::ctl
