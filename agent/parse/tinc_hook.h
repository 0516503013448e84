#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// One thing tincd's host-up or host-down script told us.
struct TincHookEvent {
  bool up = false;
  std::string boot_id;        // of the boot it was written in
  absl::Duration since_boot;  // CLOCK_BOOTTIME: comparable with a process' start, whoever set the
                              // wall clock meanwhile
  absl::Time time;            // wall clock, for people
  std::string net;            // "-" when tincd was started without a net's name
  std::string interface;
  std::string node;
  std::string address;  // the node's real address; "-" when not told
  bool operator==(const TincHookEvent&) const = default;
};

struct TincHookState {
  std::vector<TincHookEvent> events;  // oldest first
  size_t lines_bad = 0;               // torn or foreign lines, passed over
};

/// Parses the file that `fleet-agent tinc-hook` appends to, one event per line, such as
///   up 6b0f8c2e-… 86400.120 1795453426 chitter chitter parasect 203.0.113.7
/// (event, boot id, seconds since boot, seconds since 1970, net, interface, node, address). A line
/// that is none, or the last one when it does not end, is counted and passed over: the writer may
/// be at it right now.
///
/// Errors: kResourceExhausted over 100,000 lines.
absl::StatusOr<TincHookState> ParseTincHook(absl::string_view text);

/// One line, with its line feed. Bytes that would break it become '_'; empty words become "-".
std::string TincHookLine(const TincHookEvent& event);

}  // namespace fleet::agent
