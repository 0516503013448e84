#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/statusor.h"
#include "common/address.h"
#include "common/scoped_fd.h"

namespace fleet::collector {

/// A listening TCP socket and the address it really has (port 0 became one).
struct Listener {
  ScopedFd fd;
  Address address;
};

/// Listens on a numeric address or "localhost" (which is 127.0.0.1); names are not looked up.
/// Errors: kInvalidArgument for any other host; else by errno, naming the address.
absl::StatusOr<Listener> ListenTcp(const Address& address);

/// The numeric host of a socket address of either family; empty for another.
std::string HostOf(const sockaddr* address);

}  // namespace fleet::collector
