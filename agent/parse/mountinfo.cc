#include "agent/parse/mountinfo.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kMountsMax = 65536;

bool HasOption(absl::string_view options, absl::string_view wanted) {
  for (const absl::string_view option : absl::StrSplit(options, ',')) {
    if (option == wanted) return true;
  }
  return false;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

bool ParseLine(absl::string_view line, Mount& mount) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  size_t dash = 6;
  while (dash < words.size() && words[dash] != "-") ++dash;
  // A source may be empty, so that two blanks follow each other; super options end the line.
  if (dash + 3 >= words.size()) return false;
  const std::pair<absl::string_view, absl::string_view> device =
      absl::StrSplit(words[2], absl::MaxSplits(':', 1));
  if (!absl::SimpleAtoi(device.first, &mount.major) ||
      !absl::SimpleAtoi(device.second, &mount.minor) || words[4].empty() || words[4][0] != '/' ||
      words[dash + 1].empty()) {
    return false;
  }
  mount.root = UnescapeOctal(words[3]);
  mount.mount_point = UnescapeOctal(words[4]);
  mount.options = std::string(words[5]);
  mount.type = std::string(words[dash + 1]);
  mount.source = std::string(words[dash + 2]);
  mount.super_options = std::string(words[dash + 3]);
  return true;
}

}  // namespace

bool Mount::read_only() const {
  return HasOption(options, "ro") || HasOption(super_options, "ro") ||
         HasOption(super_options, "emergency_ro");
}

std::string UnescapeOctal(absl::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] <= '3' && IsOctal(text[i + 1]) &&
        IsOctal(text[i + 2]) && IsOctal(text[i + 3])) {
      plain.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

absl::StatusOr<std::vector<Mount>> ParseMountinfo(absl::string_view text) {
  std::vector<Mount> mounts;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    Mount mount;
    if (mounts.size() == kMountsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kMountsMax, " mounts"));
    }
    if (!ParseLine(line, mount)) {
      return absl::InvalidArgumentError(absl::StrCat("no mount in ", Quote(line)));
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

}  // namespace fleet::agent
