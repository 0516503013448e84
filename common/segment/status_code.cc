#include "common/segment/status_code.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::segment {
namespace {

constexpr uint8_t kSuccess = 0x10;
constexpr uint8_t kAbsent = 0x20;
constexpr uint8_t kReasonChanged = 0x40;
constexpr uint8_t kParentChanged = 0x80;

enum class Items : uint8_t { kSame = 0, kChanges = 1, kAll = 2 };

/// What both ends share, and between them the new bytes: "91.2 % used" → "91.3 % used" is 4 bytes.
void PutText(absl::string_view before, absl::string_view after, std::string& out) {
  const size_t shorter = std::min(before.size(), after.size());
  size_t head = 0;
  while (head < shorter && before[head] == after[head]) ++head;
  size_t tail = 0;
  while (tail < shorter - head &&
         before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) {
    ++tail;
  }
  PutVarint(head, out);
  PutVarint(tail, out);
  segment::PutText(after.substr(head, after.size() - head - tail), out);
}

absl::Status GetText(Reader& in, absl::string_view before, size_t size_max, std::string& after) {
  const uint64_t head = in.Varint();
  const uint64_t tail = in.Varint();
  const absl::string_view middle = in.Text();
  if (!in.ok() || head > before.size() || tail > before.size() - head) {
    return absl::InvalidArgumentError("malformed text");
  }
  if (head + tail + middle.size() > size_max) {
    return absl::ResourceExhaustedError(absl::StrCat("text of more than ", size_max, " bytes"));
  }
  after = absl::StrCat(before.substr(0, head), middle, before.substr(before.size() - tail));
  return absl::OkStatus();
}

uint8_t PackVerdict(Verdict verdict, UnknownKind unknown) {
  return static_cast<uint8_t>(static_cast<unsigned>(verdict) | static_cast<unsigned>(unknown) << 2);
}

bool SameItem(const Item& a, const Item& b) {
  return a.verdict == b.verdict && a.unknown == b.unknown && a.reason == b.reason &&
         a.parent == b.parent && a.name == b.name;
}

bool SameNames(absl::Span<const Item> a, absl::Span<const Item> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Item& x, const Item& y) { return x.name == y.name; });
}

void PutItem(const Item& before, const Item& after, std::string& out) {
  const bool reason = before.reason != after.reason;
  const bool parent = before.parent != after.parent;
  out.push_back(static_cast<char>(PackVerdict(after.verdict, after.unknown) |
                                  (reason ? kReasonChanged : 0) | (parent ? kParentChanged : 0)));
  if (reason) PutText(before.reason, after.reason, out);
  if (parent) PutText(before.parent, after.parent, out);
}

absl::Status GetItem(Reader& in, const Item& before, size_t text_max, Item& after) {
  const uint8_t byte = in.Byte();
  if (!in.ok() || (byte & (kSuccess | kAbsent)) != 0) {
    return absl::InvalidArgumentError("malformed item");
  }
  after.verdict = static_cast<Verdict>(byte & 3);
  after.unknown = static_cast<UnknownKind>(byte >> 2 & 3);
  if ((byte & kReasonChanged) != 0) {
    FLEET_RETURN_IF_ERROR(GetText(in, before.reason, text_max, after.reason));
  }
  if ((byte & kParentChanged) != 0) {
    FLEET_RETURN_IF_ERROR(GetText(in, before.parent, text_max, after.parent));
  }
  return absl::OkStatus();
}

void PutItems(absl::Span<const Item> before, absl::Span<const Item> after, std::string& out) {
  if (!SameNames(before, after)) {
    out.push_back(static_cast<char>(Items::kAll));
    PutVarint(after.size(), out);
    for (const Item& item : after) {
      segment::PutText(item.name, out);
      PutItem({}, item, out);
    }
    return;
  }
  size_t changes = 0;
  for (size_t i = 0; i < after.size(); ++i) changes += SameItem(before[i], after[i]) ? 0 : 1;
  out.push_back(static_cast<char>(changes == 0 ? Items::kSame : Items::kChanges));
  if (changes == 0) return;
  PutVarint(changes, out);
  size_t next = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    if (SameItem(before[i], after[i])) continue;
    PutVarint(i - next, out);
    PutItem(before[i], after[i], out);
    next = i + 1;
  }
}

absl::Status GetAllItems(Reader& in, const SegmentLimits& limits, std::vector<Item>& items) {
  const uint64_t count = in.Varint();
  if (count > limits.items) {
    return absl::ResourceExhaustedError(absl::StrCat(count, " items, limit ", limits.items));
  }
  if (count > in.left() / 2) return absl::InvalidArgumentError("malformed items");
  items.clear();
  items.resize(static_cast<size_t>(count));
  for (Item& item : items) {
    const absl::string_view name = in.Text();
    if (name.size() > limits.text_bytes) return absl::ResourceExhaustedError("item name too long");
    item.name = std::string(name);
    FLEET_RETURN_IF_ERROR(GetItem(in, {}, limits.text_bytes, item));
  }
  return absl::OkStatus();
}

absl::Status GetChangedItems(Reader& in, const SegmentLimits& limits, std::vector<Item>& items) {
  const uint64_t count = in.Varint();
  uint64_t next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t gap = in.Varint();
    if (!in.ok() || next >= items.size() || gap >= items.size() - next) {
      return absl::InvalidArgumentError("malformed items");
    }
    next += gap;
    const Item before = items[next];
    FLEET_RETURN_IF_ERROR(GetItem(in, before, limits.text_bytes, items[next]));
    ++next;
  }
  return absl::OkStatus();
}

}  // namespace

bool SameStatus(const ReportStatus& a, const ReportStatus& b) {
  return a.absent == b.absent && a.success == b.success && a.verdict == b.verdict &&
         a.unknown == b.unknown && a.reason == b.reason && a.parent == b.parent &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), SameItem);
}

void PutStatus(const ReportStatus& before, const ReportStatus& after, std::string& out) {
  const bool reason = before.reason != after.reason;
  const bool parent = before.parent != after.parent;
  out.push_back(static_cast<char>(PackVerdict(after.verdict, after.unknown) |
                                  (after.success ? kSuccess : 0) | (after.absent ? kAbsent : 0) |
                                  (reason ? kReasonChanged : 0) | (parent ? kParentChanged : 0)));
  if (reason) PutText(before.reason, after.reason, out);
  if (parent) PutText(before.parent, after.parent, out);
  PutItems(before.items, after.items, out);
}

absl::Status GetStatus(Reader& in, const ReportStatus& before, const SegmentLimits& limits,
                       ReportStatus& after) {
  after = before;
  const uint8_t byte = in.Byte();
  after.verdict = static_cast<Verdict>(byte & 3);
  after.unknown = static_cast<UnknownKind>(byte >> 2 & 3);
  after.success = (byte & kSuccess) != 0;
  after.absent = (byte & kAbsent) != 0;
  if ((byte & kReasonChanged) != 0) {
    FLEET_RETURN_IF_ERROR(GetText(in, before.reason, limits.text_bytes, after.reason));
  }
  if ((byte & kParentChanged) != 0) {
    FLEET_RETURN_IF_ERROR(GetText(in, before.parent, limits.text_bytes, after.parent));
  }
  const uint8_t items = in.Byte();
  if (!in.ok() || items > static_cast<uint8_t>(Items::kAll)) {
    return absl::InvalidArgumentError("malformed status");
  }
  if (items == static_cast<uint8_t>(Items::kAll)) return GetAllItems(in, limits, after.items);
  if (items == static_cast<uint8_t>(Items::kChanges)) {
    return GetChangedItems(in, limits, after.items);
  }
  return absl::OkStatus();
}

}  // namespace fleet::segment
