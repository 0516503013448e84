#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "collector/builtin.h"
#include "collector/remote_write/batch.h"
#include "collector/state.h"

namespace fleet::collector {

/// Series that are reported together, over time: what is no longer among them has ended, and gets
/// its stale marker. Not thread-safe.
class SeriesTrack {
 public:
  /// `id` tells it from the host's other tracks.
  explicit SeriesTrack(uint64_t id) : id_(id) {}

  /// The series of `table` have these values from `time_ms` on; those of before that are not in it
  /// have ended. Without a batch it is only remembered.
  void Update(std::shared_ptr<const SeriesTable> table, std::shared_ptr<const double[]> values,
              int64_t time_ms, int64_t taken_until_ms, Batch* batch);
  /// Whatever it has ends.
  void End(int64_t time_ms, Batch* batch);

  bool open() const { return table_ != nullptr; }

 private:
  uint64_t id_;
  std::shared_ptr<const SeriesTable> table_;
};

/// Series of the collector's own about one host, as a table and its values.
struct BuiltinSeries {
  std::shared_ptr<const SeriesTable> table;
  std::shared_ptr<const double[]> values;
};
/// Those that have `source`. `view` need not have facts.
BuiltinSeries MakeBuiltinSeries(const HostView& view, BuiltinSource source, SeriesTables& tables);

}  // namespace fleet::collector
