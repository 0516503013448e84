#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "collector/remote_write/series_table.h"

namespace fleet::collector {

/// The NaN with which Prometheus says that a series has ended.
double StaleMarker();

/// Samples of one host on their way out, in the order of time for each series. Holds values by
/// reference, so it costs little more than the reports it came from. Not thread-safe.
class Batch {
 public:
  /// One sample.
  struct Item {
    uint32_t group;
    uint32_t row;
    uint32_t series;
  };

  /// Adds a value of each series of `table`. `track` names who the series belong to; the same one
  /// gives its rows in the order of time. The receiver is known to have these series up to
  /// `taken_until_ms`.
  void Add(uint64_t track, const std::shared_ptr<const SeriesTable>& table, int64_t time_ms,
           std::shared_ptr<const double[]> values, int64_t taken_until_ms = INT64_MIN);
  /// Adds the end of `series` of `table`.
  void AddStale(uint64_t track, const std::shared_ptr<const SeriesTable>& table,
                std::vector<uint32_t> series, int64_t time_ms);

  size_t samples() const { return samples_; }
  int64_t newest_ms() const { return newest_ms_; }
  int64_t oldest_ms() const { return oldest_ms_; }
  int64_t time_ms(const Item& item) const { return groups_[item.group].rows[item.row].time_ms; }
  int64_t taken_until_ms(const Item& item) const { return groups_[item.group].taken_until_ms; }

  /// Appends all of it as a protobuf WriteRequest.
  void Encode(const HostLabels& host, std::string& out) const;
  /// Appends some of it. `items` are put into order.
  void EncodeItems(const HostLabels& host, std::vector<Item> items, std::string& out) const;
  /// Every sample, oldest first.
  std::vector<Item> Items() const;

  /// Calls `visit` with each table and the time of its newest sample.
  template <typename Visit>
  void VisitTables(Visit visit) const {
    for (const Group& group : groups_) {
      if (group.whole) visit(group.table, group.rows.back().time_ms);
    }
  }
  /// Calls `visit` with table, time and values of each row that is not stale markers.
  template <typename Visit>
  void VisitRows(Visit visit) const {
    for (const Group& group : groups_) {
      for (const Row& row : group.rows) {
        if (row.values != nullptr) visit(group.table, row.time_ms, row.values.get());
      }
    }
  }

 private:
  struct Row {
    int64_t time_ms;
    std::shared_ptr<const double[]> values;  // null: stale markers
  };
  struct Group {
    uint64_t track;
    std::shared_ptr<const SeriesTable> table;
    bool whole;                    // every series of the table
    std::vector<uint32_t> subset;  // those it has, unless whole
    std::vector<Row> rows;
    int64_t taken_until_ms;

    size_t series_count() const { return whole ? table->size() : subset.size(); }
    size_t series(size_t i) const { return whole ? i : subset[i]; }
  };

  void Count(size_t samples, int64_t time_ms);
  double Value(const Group& group, const Row& row, size_t series) const;

  std::vector<Group> groups_;
  size_t samples_ = 0;
  int64_t newest_ms_ = INT64_MIN;
  int64_t oldest_ms_ = INT64_MAX;
};

}  // namespace fleet::collector
