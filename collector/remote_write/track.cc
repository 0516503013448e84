#include "collector/remote_write/track.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "collector/exposition.h"
#include "common/labels.h"

namespace fleet::collector {
namespace {

const std::shared_ptr<const FamilyInfo>& BuiltinFamily(size_t index) {
  static const auto* const families = [] {
    auto* list = new std::vector<std::shared_ptr<const FamilyInfo>>;  // for the whole process
    for (const MetricDesc& desc : BuiltinMetrics()) {
      list->push_back(std::make_shared<const FamilyInfo>(
          FamilyInfo{std::string(desc.name), desc.type, std::string(desc.help), true}));
    }
    return list;
  }();
  return (*families)[index];
}

template <typename Visit>
void VisitAll(const HostView& view, BuiltinSource source, Visit visit) {
  for (size_t i = 0; i < BuiltinMetrics().size(); ++i) {
    if (SourceOfBuiltin(i) != source) continue;
    VisitBuiltin(i, view,
                 [&](absl::Span<const Label> labels, double value) { visit(i, labels, value); });
  }
}

}  // namespace

void SeriesTrack::Update(std::shared_ptr<const SeriesTable> table,
                         std::shared_ptr<const double[]> values, int64_t time_ms,
                         int64_t taken_until_ms, Batch* batch) {
  if (table_ != nullptr && table_ != table && batch != nullptr) {
    absl::flat_hash_set<absl::string_view> now;
    for (size_t i = 0; table != nullptr && i < table->size(); ++i) now.insert(table->key(i));
    std::vector<uint32_t> gone;
    for (uint32_t i = 0; i < table_->size(); ++i) {
      if (!now.contains(table_->key(i))) gone.push_back(i);
    }
    batch->AddStale(id_, table_, std::move(gone), time_ms);
  }
  table_ = std::move(table);
  if (table_ != nullptr && batch != nullptr) {
    batch->Add(id_, table_, time_ms, std::move(values), taken_until_ms);
  }
}

void SeriesTrack::End(int64_t time_ms, Batch* batch) {
  Update(nullptr, nullptr, time_ms, INT64_MIN, batch);
}

BuiltinSeries MakeBuiltinSeries(const HostView& view, BuiltinSource source, SeriesTables& tables) {
  std::vector<double> values;
  std::string key;
  VisitAll(view, source, [&](size_t family, absl::Span<const Label> labels, double value) {
    absl::StrAppend(&key, family, "{");
    AppendLabels(labels, key);
    values.push_back(value);
  });
  BuiltinSeries series;
  std::shared_ptr<double[]> block(new double[values.size()]);
  std::copy(values.begin(), values.end(), block.get());
  series.values = std::move(block);
  series.table = tables.OfKey(key, [&] {
    auto table = std::make_shared<SeriesTable>();
    size_t last = SIZE_MAX;
    uint32_t index = 0;
    VisitAll(view, source, [&](size_t family, absl::Span<const Label> labels, double) {
      const auto& info = BuiltinFamily(family);
      if (family != last) table->AddFamily(info);
      last = family;
      table->Add(info->name, labels, true, index++);
    });
    return table;
  });
  return series;
}

}  // namespace fleet::collector
