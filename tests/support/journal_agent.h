#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/journal/journal.h"
#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "tests/support/matchers.h"

namespace fleet::test {

/// Remembers what a journal says to a stream. Thread-safe.
class AckRecorder final : public collector::JournalClient {
 public:
  void Safe(const SegmentId& id, uint64_t next_index) override {
    MutexLock lock(mutex_);
    uint64_t& next = safe_[id];
    next = std::max(next, next_index);
  }
  void Room() override {
    MutexLock lock(mutex_);
    ++rooms_;
  }
  uint64_t safe(const SegmentId& id) const {
    MutexLock lock(mutex_);
    const auto found = safe_.find(id);
    return found == safe_.end() ? 0 : found->second;
  }
  std::map<SegmentId, uint64_t> all() const {
    MutexLock lock(mutex_);
    return safe_;
  }
  int rooms() const {
    MutexLock lock(mutex_);
    return rooms_;
  }

 private:
  mutable Mutex mutex_;
  std::map<SegmentId, uint64_t> safe_ ABSL_GUARDED_BY(mutex_);
  int rooms_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// A segment as an agent holds it: bytes, and where each record starts.
class TestSegment {
 public:
  TestSegment(SegmentId id, absl::Time created) : encoder_(id, created) {}

  /// Adds a report whose one value names it.
  void Add(double value, absl::string_view check = "disk", absl::Time start = absl::UnixEpoch()) {
    static constexpr MetricDesc kValue = {"fleet_example_value", MetricType::kGauge, "A value."};
    Report report;
    report.check = std::string(check);
    report.start = start;
    report.interval = absl::Seconds(10);
    report.samples.Add(kValue, {}, value);
    Add(report);
  }
  void Add(const Report& report) {
    starts_.push_back(bytes_.size());
    EXPECT_THAT(encoder_.Append(report, bytes_), IsOk());
  }

  const SegmentId& id() const { return encoder_.id(); }
  uint64_t reports() const { return starts_.size(); }
  const std::string& bytes() const { return bytes_; }
  /// Records [from, to), as the journal takes them.
  collector::Journal::Records Piece(absl::string_view host, uint64_t from, uint64_t to,
                                    bool backlog = false) const {
    collector::Journal::Records records;
    records.host = host;
    records.id = id();
    records.backlog = backlog;
    records.first_index = from;
    records.count = to - from;
    const size_t begin = from < starts_.size() ? starts_[from] : bytes_.size();
    const size_t end = to < starts_.size() ? starts_[to] : bytes_.size();
    records.data = absl::string_view(bytes_).substr(begin, end - begin);
    records.created = encoder_.created();
    return records;
  }

 private:
  SegmentEncoder encoder_;
  std::string bytes_;
  std::vector<size_t> starts_;
};

/// The value of each report of a segment's bytes, in order.
inline std::vector<double> ValuesOf(absl::string_view bytes) {
  std::vector<double> values;
  SegmentDecoder decoder;
  EXPECT_THAT(decoder.Feed(bytes,
                           [&](const DecodedReport& report) {
                             values.push_back(report.values()[0]);
                             return absl::OkStatus();
                           }),
              IsOk());
  return values;
}

}  // namespace fleet::test
