#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace fleet::probe {

/// What whoever runs probes for others has allowed beyond the public internet and GET and HEAD:
///   10.235.0.0/16, 10.235.0.4, 10.235.0.4:9000, fd00::/8, [fd00::1]:443   addresses
///   POST                                                                  a method, with its body
/// Immutable once parsed, so thread-safe.
class AllowList {
 public:
  /// Errors: kInvalidArgument, naming the entry and what was expected.
  static absl::StatusOr<AllowList> Parse(absl::Span<const std::string> entries);

  /// `address` is numeric, without port.
  bool AllowsAddress(absl::string_view address, int port) const;
  /// In upper case; GET and HEAD always.
  bool AllowsMethod(absl::string_view method) const;

 private:
  struct Network {
    std::string bytes;  // 4 or 16
    int bits = 0;
    int port = 0;  // 0: every one
  };
  static absl::StatusOr<Network> ParseNetwork(absl::string_view text);

  std::vector<Network> networks_;
  std::vector<std::string> methods_;
};

}  // namespace fleet::probe
