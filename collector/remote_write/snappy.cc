#include "collector/remote_write/snappy.h"

#include <snappy.h>

namespace fleet::collector {

std::string SnappyCompress(absl::string_view bytes) {
  std::string out;
  snappy::Compress(bytes.data(), bytes.size(), &out);
  return out;
}

absl::StatusOr<std::string> SnappyUncompress(absl::string_view bytes, size_t size_max) {
  size_t size = 0;
  if (!snappy::GetUncompressedLength(bytes.data(), bytes.size(), &size)) {
    return absl::InvalidArgumentError("no snappy block");
  }
  if (size > size_max) return absl::ResourceExhaustedError("the block is too large");
  std::string out;
  if (!snappy::Uncompress(bytes.data(), bytes.size(), &out)) {
    return absl::InvalidArgumentError("a damaged snappy block");
  }
  return out;
}

}  // namespace fleet::collector
