#include "agent/spool_segment.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "common/scoped_fd.h"
#include "common/segment/record.h"
#include "common/segment/wire.h"

namespace fleet::agent {
namespace {

class RealBootClock final : public BootClock {
 public:
  RealBootClock() : id_(std::random_device()()) {
    // Not through FileSystem, which goes by a file's size: here that is 0.
    const ScopedFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    char text[64];
    const ssize_t size = fd.valid() ? ::read(fd.get(), text, sizeof(text)) : 0;
    if (size <= 0) return;
    const auto id = ParseBootId(absl::string_view(text, static_cast<size_t>(size)));
    if (id.ok()) id_ = *id;
  }

  uint32_t id() const override { return id_; }
  absl::Duration Uptime() const override {
    timespec now = {};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }

 private:
  uint32_t id_;
};

}  // namespace

BootClock& BootClock::Real() {
  static RealBootClock clock;
  return clock;
}

uint64_t SpoolSegment::acked_by_all() const {
  uint64_t least = reports;
  for (const Reader& reader : readers) least = std::min(least, reader.acked);
  return least;
}

void SpoolSegment::TrimTail(uint64_t limit,
                            absl::FunctionRef<bool(uint64_t index, uint64_t end)> free) {
  size_t cut = 0;
  while (tail_offset + cut < limit) {
    const size_t size = RecordBytes(absl::string_view(tail).substr(cut), tail_offset + cut == 0);
    const uint64_t end = tail_offset + cut + size;
    if (size == 0 || end > limit || !free(tail_index, end)) break;
    cut += size;
    ++tail_index;
  }
  if (cut == 0) return;
  tail_offset += cut;
  tail.erase(0, cut);
  constexpr size_t kKeptCapacity = 64 << 10;
  if (tail.empty() && tail.capacity() > kKeptCapacity) tail.shrink_to_fit();
}

void SpoolShelf::Add(SpoolSegmentPtr segment) {
  segment->order = next_order_++;
  by_id_[segment->id] = segment;
  segments_.push_back(std::move(segment));
}

void SpoolShelf::AddOldest(std::vector<SpoolSegmentPtr> segments) {
  for (size_t i = 0; i < segments.size(); ++i) {
    segments[i]->order = i + 1;
    by_id_[segments[i]->id] = segments[i];
  }
  segments_.insert(segments_.begin(), segments.begin(), segments.end());
}

void SpoolShelf::Remove(const SpoolSegmentPtr& segment) {
  segment->gone = true;
  const auto found = by_id_.find(segment->id);
  if (found != by_id_.end() && found->second == segment) by_id_.erase(found);
  const auto at = std::find(segments_.begin(), segments_.end(), segment);
  if (at != segments_.end()) segments_.erase(at);
}

SpoolSegmentPtr SpoolShelf::Find(const SegmentId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

SpoolSegmentPtr SpoolShelf::After(uint64_t order,
                                  absl::FunctionRef<bool(const SpoolSegment&)> wanted) const {
  auto at = std::upper_bound(
      segments_.begin(), segments_.end(), order,
      [](uint64_t value, const SpoolSegmentPtr& segment) { return value < segment->order; });
  at = std::find_if(at, segments_.end(), [&](const SpoolSegmentPtr& s) { return wanted(*s); });
  return at == segments_.end() ? nullptr : *at;
}

uint64_t SpoolShelf::bytes() const {
  uint64_t bytes = 0;
  for (const SpoolSegmentPtr& segment : segments_) bytes += segment->bytes;
  return bytes;
}

size_t RecordBytes(absl::string_view bytes, bool first) {
  const size_t header = first ? kSegmentHeaderBytes : 0;
  if (bytes.size() < header) return 0;
  segment::Reader in(bytes.substr(header));
  const uint64_t payload = in.Varint();
  in.Fixed<uint32_t>();
  in.Bytes(payload);
  return in.ok() ? static_cast<size_t>(in.at() - bytes.data()) : 0;
}

WholeRecords TakeWholeRecords(absl::string_view bytes, const SegmentId& id, uint64_t index,
                              size_t bytes_max) {
  WholeRecords taken;
  absl::string_view rest = bytes;
  if (index == 0) {
    SegmentId found;
    absl::Time created;
    if (!segment::ConsumeHeader(rest, found, created).ok() || found != id) {
      taken.damaged = true;
      return taken;
    }
  }
  while (!rest.empty()) {
    const size_t size = RecordBytes(rest, false);
    if (size == 0) break;  // cut: more bytes may help
    const size_t end = static_cast<size_t>(rest.data() - bytes.data()) + size;
    if (end > bytes_max && taken.reports > 0) break;
    absl::string_view payload;
    if (!segment::ConsumeRecord(rest, id, index + taken.reports, SegmentLimits().record_bytes,
                                payload)
             .ok()) {
      taken.damaged = true;
      break;
    }
    ++taken.reports;
    taken.bytes = end;
  }
  return taken;
}

}  // namespace fleet::agent
