#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/parse/tinc_config.h"
#include "agent/parse/tinc_control.h"
#include "common/clock.h"
#include "common/scoped_fd.h"

namespace fleet::agent {

/// Asks a tincd 1.1 by its control socket what it knows. It only ever sends the two dump requests
/// for nodes and subnets: the same socket also stops and reconfigures the daemon. One connection is
/// kept open between calls, because tincd logs each new one. Used by one thread at a time.
class TincControl {
 public:
  /// `socket_path` and `pid` as the pid file gives them; another daemon than last time gets a new
  /// connection.
  ///
  /// Errors: kPermissionDenied when the socket may not be opened; kUnauthenticated when tincd does
  /// not take the cookie; kUnavailable when nobody answers there; kDeadlineExceeded; and those of
  /// ParseTincDump.
  absl::StatusOr<TincDump> Dump(const std::string& socket_path, const TincPid& pid,
                                absl::Duration timeout);

  /// As it greeted us; empty before.
  const std::string& node_name() const { return node_name_; }

 private:
  absl::Status Connect(const std::string& socket_path, const TincPid& pid, SteadyTime end);
  absl::StatusOr<TincDump> Ask(SteadyTime end);
  absl::Status Send(absl::string_view text, SteadyTime end);
  /// Appends to `text` what comes until it ends in `closing`.
  absl::Status ReceiveUntil(absl::string_view closing, SteadyTime end, std::string& text);
  absl::Status Wait(short events, SteadyTime end);

  ScopedFd fd_;
  TincPid connected_to_;
  std::string socket_path_;
  std::string node_name_;
};

}  // namespace fleet::agent
