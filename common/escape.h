#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet {

/// Bytes of the valid UTF-8 sequence at the start of `text` (not empty), 0 when it is not one.
size_t Utf8SequenceSize(absl::string_view text);

/// Text from outside as it may stand in a message: in quotes, control and non-UTF-8 bytes escaped.
/// Between the quotes are at most `size_max` bytes; what does not fit becomes a "…" at the end.
std::string Quote(absl::string_view text, size_t size_max = 80);

/// Text from outside as a reason repeats it: on one line, control and non-UTF-8 bytes escaped,
/// quotes and backslashes as they are, at most `size_max` bytes as Quote counts them. Doing it
/// twice changes nothing.
std::string OneLine(absl::string_view text, size_t size_max = 200);

}  // namespace fleet
