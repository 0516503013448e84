#include "collector/remote_write/batch.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "collector/remote_write/proto_wire.h"

namespace fleet::collector {
namespace {

constexpr size_t kHeadBytesMax = 11;  // tag and length of a TimeSeries

size_t SampleFieldBytes(int64_t time_ms) {
  return proto::TextFieldBytes(9 + 1 + proto::VarintBytes(static_cast<uint64_t>(time_ms)));
}

char* PutSample(double value, int64_t time_ms, char* out) {
  const auto time = static_cast<uint64_t>(time_ms);
  *out++ = 2 << 3 | proto::kBytes;
  *out++ = static_cast<char>(9 + 1 + proto::VarintBytes(time));
  *out++ = 1 << 3 | proto::kFixed64;
  std::memcpy(out, &value, sizeof value);  // little-endian, as every machine we run on
  out += sizeof value;
  *out++ = 2 << 3 | proto::kVarint;
  return proto::PutVarint(time, out);
}

char* PutHead(size_t size, char* out) {
  *out++ = 1 << 3 | proto::kBytes;
  return proto::PutVarint(uint64_t{size}, out);
}

/// Appends up to `size` bytes that `put` writes.
template <typename Put>
void AppendBytes(size_t size, std::string& out, Put put) {
  const size_t begin = out.size();
  if (out.capacity() < begin + size) out.reserve(std::max(begin + size, 2 * out.capacity()));
  out.resize(begin + size);
  char* const end = put(&out[begin]);
  out.resize(static_cast<size_t>(end - out.data()));
}

}  // namespace

double StaleMarker() {
  constexpr uint64_t kBits = 0x7ff0000000000002;
  double value = 0;
  std::memcpy(&value, &kBits, sizeof value);
  return value;
}

void Batch::Count(size_t samples, int64_t time_ms) {
  samples_ += samples;
  newest_ms_ = std::max(newest_ms_, time_ms);
  oldest_ms_ = std::min(oldest_ms_, time_ms);
}

void Batch::Add(uint64_t track, const std::shared_ptr<const SeriesTable>& table, int64_t time_ms,
                std::shared_ptr<const double[]> values, int64_t taken_until_ms) {
  if (table->size() == 0) return;
  Count(table->size(), time_ms);
  // Only the track's newest group may grow: an older one would put later samples before earlier.
  for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
    if (group->track != track) continue;
    if (!group->whole || group->table != table || group->rows.back().values == nullptr) break;
    group->rows.push_back({time_ms, std::move(values)});
    return;
  }
  groups_.push_back({track, table, true, {}, {{time_ms, std::move(values)}}, taken_until_ms});
}

void Batch::AddStale(uint64_t track, const std::shared_ptr<const SeriesTable>& table,
                     std::vector<uint32_t> series, int64_t time_ms) {
  if (series.empty()) return;
  Count(series.size(), time_ms);
  groups_.push_back({track, table, false, std::move(series), {{time_ms, nullptr}}, INT64_MIN});
}

double Batch::Value(const Group& group, const Row& row, size_t series) const {
  if (row.values == nullptr) return StaleMarker();
  const double value = row.values[group.table->value_index(series)];
  // An agent's own NaN, whatever its bits, ends nothing.
  return value == value ? value : std::numeric_limits<double>::quiet_NaN();
}

void Batch::Encode(const HostLabels& host, std::string& out) const {
  for (const Group& group : groups_) {
    size_t sample_bytes = 0;
    for (const Row& row : group.rows) sample_bytes += SampleFieldBytes(row.time_ms);
    for (size_t i = 0; i < group.series_count(); ++i) {
      const size_t series = group.series(i);
      const size_t size = group.table->label_bytes(series, host) + sample_bytes;
      AppendBytes(kHeadBytesMax + size, out, [&](char* at) {
        at = group.table->PutLabels(series, host, PutHead(size, at));
        for (const Row& row : group.rows) {
          at = PutSample(Value(group, row, series), row.time_ms, at);
        }
        return at;
      });
    }
  }
}

void Batch::EncodeItems(const HostLabels& host, std::vector<Item> items, std::string& out) const {
  const auto series_of = [](const Item& item) { return std::make_pair(item.group, item.series); };
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return std::tie(a.group, a.series, a.row) < std::tie(b.group, b.series, b.row);
  });
  for (size_t begin = 0, end = 0; begin < items.size(); begin = end) {
    size_t sample_bytes = 0;
    for (; end < items.size() && series_of(items[end]) == series_of(items[begin]); ++end) {
      sample_bytes += SampleFieldBytes(time_ms(items[end]));
    }
    const Group& group = groups_[items[begin].group];
    const size_t series = items[begin].series;
    const size_t size = group.table->label_bytes(series, host) + sample_bytes;
    AppendBytes(kHeadBytesMax + size, out, [&](char* at) {
      at = group.table->PutLabels(series, host, PutHead(size, at));
      for (size_t i = begin; i < end; ++i) {
        const Row& row = group.rows[items[i].row];
        at = PutSample(Value(group, row, series), row.time_ms, at);
      }
      return at;
    });
  }
}

std::vector<Batch::Item> Batch::Items() const {
  std::vector<Item> items;
  items.reserve(samples_);
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    for (uint32_t row = 0; row < group.rows.size(); ++row) {
      for (size_t i = 0; i < group.series_count(); ++i) {
        items.push_back({g, row, static_cast<uint32_t>(group.series(i))});
      }
    }
  }
  std::stable_sort(items.begin(), items.end(),
                   [this](const Item& a, const Item& b) { return time_ms(a) < time_ms(b); });
  return items;
}

}  // namespace fleet::collector
