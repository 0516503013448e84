#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "collector/family.h"
#include "common/metric.h"
#include "common/mutex.h"

namespace fleet::collector {

/// The labels of one host that every series of it gets, as remote-write encodes them.
struct HostLabels {
  HostLabels(absl::string_view host, absl::string_view job);

  std::string host;  // only on fleet_*
  std::string instance;
  std::string job;
};

/// The labels of some series as remote-write encodes them, sorted by name, with gaps where those of
/// the host belong: so one table serves every host that has the same series. Never changes once it
/// is shared.
class SeriesTable {
 public:
  /// Adds a series; its value is the one at `value_index` of a report's values.
  void Add(absl::string_view family, absl::Span<const Label> labels, bool ours,
           uint32_t value_index);
  void AddFamily(std::shared_ptr<const FamilyInfo> family) {
    families_.push_back(std::move(family));
  }
  void Keep(std::shared_ptr<const PublishedLayout> published) { published_ = std::move(published); }

  size_t size() const { return series_.size(); }
  uint32_t value_index(size_t i) const { return series_[i].value_index; }
  /// Equal for equal series of one host, and only for them.
  absl::string_view key(size_t i) const;
  /// Name of the family, and the labels without it and those of the host.
  absl::string_view Decode(size_t i, std::vector<Label>& labels) const;
  bool ours(size_t i) const { return series_[i].ours; }
  /// Bytes of the encoded labels of a series of `host`.
  size_t label_bytes(size_t i, const HostLabels& host) const;
  /// Writes them to `out`, which has room; returns the end.
  char* PutLabels(size_t i, const HostLabels& host, char* out) const;
  absl::Span<const std::shared_ptr<const FamilyInfo>> families() const { return families_; }
  const PublishedLayout* published() const { return published_.get(); }

 private:
  // Offsets in text_; between them a label of the host goes.
  struct Series {
    uint32_t begin;
    uint32_t host_at;
    uint32_t instance_at;
    uint32_t job_at;
    uint32_t end;
    uint32_t value_index;
    bool ours;
  };

  std::string text_;
  std::vector<Series> series_;
  std::vector<std::shared_ptr<const FamilyInfo>> families_;
  std::shared_ptr<const PublishedLayout> published_;
};

/// Makes tables, each once for all who hold it. Thread-safe.
class SeriesTables {
 public:
  /// The series of agents. Labels with an empty value are left out, as a scrape does.
  std::shared_ptr<const SeriesTable> Of(std::shared_ptr<const PublishedLayout> published);
  /// Series of the collector's own, known by a text that is the same for the same series.
  template <typename Make>
  std::shared_ptr<const SeriesTable> OfKey(const std::string& key, Make make) {
    {
      MutexLock lock(mutex_);
      const auto found = by_key_.find(key);
      if (found != by_key_.end()) {
        if (auto table = found->second.lock()) return table;
      }
    }
    std::shared_ptr<const SeriesTable> made = make();
    MutexLock lock(mutex_);
    by_key_[key] = made;
    Sweep();
    return made;
  }

 private:
  void Sweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  // Whoever is in a table is held by it, so the address cannot be another's.
  absl::flat_hash_map<const PublishedLayout*, std::weak_ptr<const SeriesTable>> by_layout_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::weak_ptr<const SeriesTable>> by_key_
      ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 4096;
};

}  // namespace fleet::collector
