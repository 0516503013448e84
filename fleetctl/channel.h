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

}  // namespace fleet::ctl
