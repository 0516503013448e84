#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::collector {

/// `bytes` in snappy's block format, as remote-write sends them. The one door to libsnappy.
std::string SnappyCompress(absl::string_view bytes);

/// The inverse, at most `size_max` bytes of it.
/// Errors: kInvalidArgument, kResourceExhausted.
absl::StatusOr<std::string> SnappyUncompress(absl::string_view bytes, size_t size_max);

}  // namespace fleet::collector
