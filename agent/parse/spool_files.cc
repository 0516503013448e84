#include "agent/parse/spool_files.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kEpochDigits = 16;
constexpr size_t kBootDigits = 8;
/// More lines than a spool has segments for each of any sane number of collectors.
constexpr size_t kAcksMax = 1 << 20;

/// Exactly `digits` lower-case hexadecimal digits.
bool ParseHex(absl::string_view text, size_t digits, uint64_t& value) {
  if (text.size() != digits) return false;
  value = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && (c < 'a' || c > 'f')) return false;
    value = value << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}

/// A number as StrCat writes it, or padded to `width` with zeros.
bool ParseNumber(absl::string_view text, size_t width, uint64_t& value) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isdigit(static_cast<unsigned char>(c));
      })) {
    return false;
  }
  if (text.size() < width || (text.size() > std::max<size_t>(width, 1) && text.front() == '0')) {
    return false;
  }
  return absl::SimpleAtoi(text, &value);
}

absl::Status Bad(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(Quote(text.substr(0, 80)), " is ", what));
}

}  // namespace

std::string FormatSpoolFileName(const SpoolFileName& name) {
  return absl::StrFormat("%010d-%016x-%d-%08x-%d%s", name.sequence, name.epoch, name.number,
                         name.boot, absl::ToInt64Milliseconds(name.created_uptime),
                         kSpoolSegmentSuffix);
}

absl::StatusOr<SpoolFileName> ParseSpoolFileName(absl::string_view name) {
  constexpr absl::string_view kWhat = "no name of a segment's file";
  absl::string_view rest = name;
  if (!absl::ConsumeSuffix(&rest, kSpoolSegmentSuffix)) return Bad(kWhat, name);
  const std::vector<absl::string_view> parts = absl::StrSplit(rest, '-');
  SpoolFileName parsed;
  uint64_t boot = 0;
  uint64_t uptime_ms = 0;
  if (parts.size() != 5 || !ParseNumber(parts[0], 10, parsed.sequence) ||
      !ParseHex(parts[1], kEpochDigits, parsed.epoch) || !ParseNumber(parts[2], 1, parsed.number) ||
      !ParseHex(parts[3], kBootDigits, boot) || !ParseNumber(parts[4], 1, uptime_ms) ||
      uptime_ms > static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / 1'000'000)) {
    return Bad(kWhat, name);
  }
  parsed.boot = static_cast<uint32_t>(boot);
  parsed.created_uptime = absl::Milliseconds(static_cast<int64_t>(uptime_ms));
  return parsed;
}

absl::StatusOr<uint32_t> ParseBootId(absl::string_view text) {
  uint64_t boot = 0;
  if (text.size() <= kBootDigits || text[kBootDigits] != '-' ||
      !ParseHex(text.substr(0, kBootDigits), kBootDigits, boot)) {
    return Bad("no boot id", text);
  }
  return static_cast<uint32_t>(boot);
}

std::string FormatSpoolAcks(const std::vector<SpoolAck>& acks) {
  std::string text;
  for (const SpoolAck& ack : acks) {
    absl::StrAppendFormat(&text, "%s %016x %d\n", ack.collector, ack.epoch, ack.number);
  }
  return text;
}

absl::StatusOr<std::vector<SpoolAck>> ParseSpoolAcks(absl::string_view text) {
  std::vector<SpoolAck> acks;
  if (text.empty()) return acks;
  if (!absl::ConsumeSuffix(&text, "\n")) return Bad("no list of acks: it is cut", text);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
    SpoolAck ack;
    if (parts.size() != 3 || parts[0].empty() || !ParseHex(parts[1], kEpochDigits, ack.epoch) ||
        !ParseNumber(parts[2], 1, ack.number)) {
      return Bad("no line of acks", line);
    }
    if (acks.size() >= kAcksMax) return absl::InvalidArgumentError("too many acks");
    ack.collector = std::string(parts[0]);
    acks.push_back(std::move(ack));
  }
  return acks;
}

}  // namespace fleet::agent
