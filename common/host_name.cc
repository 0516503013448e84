#include "common/host_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace fleet {

bool IsHostName(absl::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto is_end = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); };
  if (!is_end(name.front()) || !is_end(name.back())) return false;
  return std::all_of(name.begin(), name.end(),
                     [is_end](char c) { return is_end(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace fleet
