#include "tests/support/memory_segment_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fleet::test {

using collector::StoredSegment;

void MemorySegmentSource::Changed() {
  ++version_;
  changed_.notify_all();
}

void MemorySegmentSource::Open(const std::string& host, SegmentId id, absl::Time created,
                               absl::Duration offset) {
  MutexLock lock(mutex_);
  segments_.try_emplace(
      Key(host, id),
      Segment{
          StoredSegment{host, id, created + offset, offset}, SegmentEncoder(id, created), {}, {}});
  Changed();
}

void MemorySegmentSource::Append(const std::string& host, SegmentId id, const Report& report) {
  MutexLock lock(mutex_);
  Segment& segment = segments_.at(Key(host, id));
  ASSERT_TRUE(segment.encoder.Append(report, segment.bytes).ok());
  segment.ends.push_back(segment.bytes.size());
  segment.stored.reports = segment.encoder.next_index();
  Changed();
}

void MemorySegmentSource::Close(const std::string& host, SegmentId id) {
  MutexLock lock(mutex_);
  segments_.at(Key(host, id)).stored.closed = true;
  Changed();
}

void MemorySegmentSource::Remove(const std::string& host, SegmentId id) {
  MutexLock lock(mutex_);
  segments_.erase(Key(host, id));
  Changed();
}

void MemorySegmentSource::SetAwaits(const std::string& host, absl::Time created) {
  MutexLock lock(mutex_);
  awaits_[host] = created;
  Changed();
}

void MemorySegmentSource::Damage(const std::string& host, SegmentId id, size_t at) {
  MutexLock lock(mutex_);
  char& byte = segments_.at(Key(host, id)).bytes.at(at);
  byte = static_cast<char>(byte ^ 1);
  Changed();
}

void MemorySegmentSource::Cut(const std::string& host, SegmentId id, uint64_t reports) {
  MutexLock lock(mutex_);
  Segment& segment = segments_.at(Key(host, id));
  segment.cut = segment.bytes.substr(segment.ends.at(reports - 1));
  segment.bytes.resize(segment.ends.at(reports - 1));
  segment.stored.reports = reports;
  Changed();
}

void MemorySegmentSource::Mend(const std::string& host, SegmentId id) {
  MutexLock lock(mutex_);
  Segment& segment = segments_.at(Key(host, id));
  segment.bytes += std::exchange(segment.cut, "");
  segment.stored.reports = segment.ends.size();
  Changed();
}

void MemorySegmentSource::FailReads(const std::string& host, const absl::Status& error) {
  MutexLock lock(mutex_);
  errors_[host] = error;
}

std::vector<std::string> MemorySegmentSource::Hosts() const {
  MutexLock lock(mutex_);
  std::vector<std::string> hosts;
  for (const auto& [key, segment] : segments_) {
    if (hosts.empty() || hosts.back() != key.first) hosts.push_back(key.first);
  }
  return hosts;
}

std::vector<StoredSegment> MemorySegmentSource::Segments(absl::string_view host) const {
  MutexLock lock(mutex_);
  std::vector<StoredSegment> list;
  for (const auto& [key, segment] : segments_) {
    if (key.first == host) list.push_back(segment.stored);
  }
  std::stable_sort(list.begin(), list.end(), [](const StoredSegment& a, const StoredSegment& b) {
    return a.created < b.created;
  });
  return list;
}

absl::StatusOr<std::string> MemorySegmentSource::Read(absl::string_view host,
                                                      const SegmentId& id) const {
  MutexLock lock(mutex_);
  const auto error = errors_.find(std::string(host));
  if (error != errors_.end() && !error->second.ok()) return error->second;
  const auto found = segments_.find(Key(std::string(host), id));
  if (found == segments_.end()) return absl::NotFoundError("retention took it");
  return found->second.bytes;
}

bool MemorySegmentSource::AwaitsOlder(absl::string_view host, absl::Time created) const {
  MutexLock lock(mutex_);
  const auto found = awaits_.find(std::string(host));
  return found != awaits_.end() && found->second < created;
}

uint64_t MemorySegmentSource::version() const {
  MutexLock lock(mutex_);
  return version_;
}

uint64_t MemorySegmentSource::WaitForChange(uint64_t seen, SteadyTime deadline,
                                            const std::stop_token& stop) const {
  MutexLock lock(mutex_);
  clock_.WaitUntil(mutex_, changed_, stop, deadline, [this, seen] { return version_ != seen; });
  return version_;
}

}  // namespace fleet::test
