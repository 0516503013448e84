#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/metric.h"

namespace fleet {

/// The samples of one report, kept flat: series on one side, one value for each on the other. A
/// series is its family's name and its labels in exposition form (see AppendLabels).
///
/// A check reports the same series run after run. So the series are made once and then shared:
/// `Next` gives an empty set that expects them again, in their order, and as long as what is added
/// is what it expects, adding stores the value and nothing else, and two such sets are known to be
/// equal without being compared. At the first series that differs it copies what came before and
/// goes on by itself.
///
/// Not thread-safe; sets that share their series may be used by several threads.
class SampleSet {
 public:
  struct Family {
    std::string name;
    MetricType type;
    std::string help;
    bool operator==(const Family&) const = default;
  };
  struct Series {
    uint32_t family;  // index into families()
    uint32_t labels_begin;
    uint32_t labels_size;  // bytes of the labels' text
    bool operator==(const Series&) const = default;
  };

  SampleSet();
  /// Shares the series of a set that was asked for its Next, and copies those of another.
  SampleSet(const SampleSet& other);
  SampleSet& operator=(const SampleSet& other);
  SampleSet(SampleSet&& other) noexcept;
  SampleSet& operator=(SampleSet&& other) noexcept;
  ~SampleSet();

  /// Adds one sample of a family without wildcard.
  void Add(const MetricDesc& desc, absl::Span<const Label> labels, double value);
  /// Adds one sample of a wildcard family ("node_memory_*"), whose '*' stands for `rest`.
  void AddNamed(const MetricDesc& desc, absl::string_view rest, absl::Span<const Label> labels,
                double value);
  /// As Add, for a family not known at compile time and labels already in exposition form.
  void AddRaw(const Family& family, absl::string_view labels, double value);
  void Clear();
  /// Gives every series its new value, in order. `values` has size() of them.
  void SetValues(absl::Span<const double> values);

  /// An empty set that expects the series of this one, which it shares from now on.
  SampleSet Next();

  size_t size() const { return values_.size(); }
  absl::Span<const Family> families() const;
  absl::Span<const Series> series() const;
  absl::Span<const double> values() const { return values_; }
  absl::string_view name(size_t i) const;
  absl::string_view labels(size_t i) const;

  /// Whether both hold the same series in the same order, whatever their values.
  bool SameSeries(const SampleSet& other) const;

 private:
  struct Shape;

  const Shape& shape() const;
  /// The series to append to: never shared.
  Shape& Own();
  bool Expects(const MetricDesc& desc, absl::string_view rest,
               absl::Span<const Label> labels) const;
  absl::string_view text() const;

  // One of the two is set, or none while nothing was added.
  std::unique_ptr<Shape> own_;           // being made; holds as many series as there are values
  std::shared_ptr<const Shape> shared_;  // done; the first size() of its series are in this set
  std::vector<double> values_;
};

}  // namespace fleet
