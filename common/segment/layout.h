#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/mutex.h"
#include "common/report.h"

namespace fleet {

/// The series of one check: families, and for each series its family and labels in exposition
/// form. Never changes once made, so one may serve every host that has the same series.
class Layout {
 public:
  using Family = SampleSet::Family;
  using Series = SampleSet::Series;

  Layout() = default;
  Layout(std::vector<Family> families, std::vector<Series> series, std::string text)
      : families_(std::move(families)), series_(std::move(series)), text_(std::move(text)) {}

  size_t size() const { return series_.size(); }
  absl::Span<const Family> families() const { return families_; }
  absl::Span<const Series> series() const { return series_; }
  const Family& family(size_t i) const { return families_[series_[i].family]; }
  absl::string_view labels(size_t i) const {
    return absl::string_view(text_).substr(series_[i].labels_begin, series_[i].labels_size);
  }
  absl::string_view text() const { return text_; }
  /// Bytes of names, helps and labels.
  size_t definition_bytes() const {
    size_t bytes = text_.size();
    for (const Family& family : families_) bytes += family.name.size() + family.help.size();
    return bytes;
  }

  bool operator==(const Layout& other) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Layout& layout) {
    for (const Series& series : layout.series_) {
      h = H::combine(std::move(h), series.family, series.labels_size);
    }
    return H::combine(std::move(h), layout.text_, layout.families_.size());
  }

 private:
  std::vector<Family> families_;
  std::vector<Series> series_;
  std::string text_;
};

/// Makes equal layouts one: ten thousand hosts with the same series then cost one text. Holds
/// layouts no longer than somebody else does. Thread-safe.
class LayoutPool {
 public:
  std::shared_ptr<const Layout> Intern(Layout layout);
  /// Layouts known, including some that nobody holds any longer.
  size_t size() const;

 private:
  mutable Mutex mutex_;
  // By hash; equal hashes with unequal contents share a bucket.
  absl::flat_hash_map<uint64_t, std::vector<std::weak_ptr<const Layout>>> layouts_
      ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 1024;
};

}  // namespace fleet
