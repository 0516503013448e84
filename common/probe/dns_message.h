#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

/// Questions and answers of DNS (RFC 1035), with c-ares to pack and unpack them.
namespace fleet::probe {

/// A whole query, recursion desired. `type` is a word such as "MX".
/// Errors: kInvalidArgument for a name that cannot be asked.
absl::StatusOr<std::string> MakeDnsQuery(const std::string& name, absl::string_view type,
                                         uint16_t id);

/// What an answer says.
struct DnsAnswer {
  uint16_t id = 0;
  std::string rcode;  // "NOERROR", "NXDOMAIN", …
  bool truncated = false;
  int answers = 0;  // records, as the header counts them
  int authorities = 0;
  int additionals = 0;
  /// The answer section, a line for each record as zone files write it, TTL and all:
  /// "chitter.xyz. 300 IN MX 10 mail.chitter.xyz."
  std::vector<std::string> records;
  std::optional<uint32_t> serial;  // of the first SOA among the answers
};

/// Unpacks the answer to a query. Untrusted bytes.
/// Errors: kInvalidArgument for what is no answer, is cut off or points around in circles.
absl::StatusOr<DnsAnswer> ParseDnsAnswer(absl::string_view bytes);

}  // namespace fleet::probe
