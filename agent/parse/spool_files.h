#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// What the name of a segment's file in the spool says, such as
///   0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-123456.seg
/// for the file made as the spool's 42nd, of segment 7 of that epoch, 123.456 s after the start of
/// the machine's run 1c2d3e4f. Sorting the names sorts by age, whatever the wall clock did.
struct SpoolFileName {
  uint64_t sequence = 0;  // grows with each file of the spool
  uint64_t epoch = 0;
  uint64_t number = 0;
  uint32_t boot = 0;              // which run of the machine: the start of its random boot id
  absl::Duration created_uptime;  // when, by CLOCK_BOOTTIME; whole milliseconds
  bool operator==(const SpoolFileName&) const = default;
};

/// Names of the files of a spool, within its directory.
inline constexpr absl::string_view kSpoolSegmentSuffix = ".seg";
inline constexpr absl::string_view kSpoolDamagedSuffix = ".damaged";  // set aside
inline constexpr absl::string_view kSpoolAcksFile = "acks";

std::string FormatSpoolFileName(const SpoolFileName& name);
/// Errors: kInvalidArgument for anything FormatSpoolFileName would not have written.
absl::StatusOr<SpoolFileName> ParseSpoolFileName(absl::string_view name);

/// The start of /proc/sys/kernel/random/boot_id, such as
///   1c2d3e4f-0b1a-4c5d-8e9f-a0b1c2d3e4f5
/// Errors: kInvalidArgument when it does not start with eight hexadecimal digits and a dash.
/// Source: https://docs.kernel.org/admin-guide/sysctl/kernel.html#random
absl::StatusOr<uint32_t> ParseBootId(absl::string_view text);

/// One collector has every report of one segment.
struct SpoolAck {
  std::string collector;  // as agent.yaml names it
  uint64_t epoch = 0;
  uint64_t number = 0;
  bool operator==(const SpoolAck&) const = default;
};

/// The file `acks`: a line "collector epoch number" each, where several collectors are configured.
std::string FormatSpoolAcks(const std::vector<SpoolAck>& acks);
/// Errors: kInvalidArgument for anything FormatSpoolAcks would not have written.
absl::StatusOr<std::vector<SpoolAck>> ParseSpoolAcks(absl::string_view text);

}  // namespace fleet::agent
