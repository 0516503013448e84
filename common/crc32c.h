#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace fleet {

/// CRC-32C (Castagnoli, reflected, as iSCSI and ext4 use it) of `bytes`, continuing from `crc`.
/// By the processor's instruction where it has one.
uint32_t Crc32c(absl::string_view bytes, uint32_t crc = 0);

}  // namespace fleet
