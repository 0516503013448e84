#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "collector/segment_source.h"
#include "common/mutex.h"
#include "common/segment/encoder.h"

namespace fleet::test {

/// A journal in memory, fed report by report through the real encoder. Thread-safe.
class MemorySegmentSource final : public collector::SegmentSource {
 public:
  explicit MemorySegmentSource(Clock& clock) : clock_(clock) {}

  /// Opens a segment whose own clock says `created`; by the collector's it is `created` + `offset`.
  void Open(const std::string& host, SegmentId id, absl::Time created,
            absl::Duration offset = absl::ZeroDuration());
  void Append(const std::string& host, SegmentId id, const Report& report);
  void Close(const std::string& host, SegmentId id);
  /// As retention does.
  void Remove(const std::string& host, SegmentId id);
  /// `host` has announced segments created before `created`; InfinitePast: none.
  void SetAwaits(const std::string& host, absl::Time created);
  /// Leaves the first `reports`, as a crash may. Nothing can be appended until Mend.
  void Cut(const std::string& host, SegmentId id, uint64_t reports);
  /// What Cut took is there again, as when its agent has sent it again.
  void Mend(const std::string& host, SegmentId id);
  /// Flips a bit of the stored bytes.
  void Damage(const std::string& host, SegmentId id, size_t at);
  /// Each read of `host` fails with `error` from now on; none does when it is OK.
  void FailReads(const std::string& host, const absl::Status& error);

  std::vector<std::string> Hosts() const override;
  std::vector<collector::StoredSegment> Segments(absl::string_view host) const override;
  absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id) const override;
  bool AwaitsOlder(absl::string_view host, absl::Time created) const override;
  uint64_t version() const override;
  uint64_t WaitForChange(uint64_t seen, SteadyTime deadline,
                         const std::stop_token& stop) const override;

 private:
  struct Segment {
    collector::StoredSegment stored;
    SegmentEncoder encoder;
    std::string bytes;
    std::vector<size_t> ends;  // of each report in bytes
    std::string cut = "";      // what Cut took
  };
  using Key = std::pair<std::string, SegmentId>;

  void Changed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  mutable Mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::map<Key, Segment> segments_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Time> awaits_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> errors_ ABSL_GUARDED_BY(mutex_);  // of reads, by host
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace fleet::test
