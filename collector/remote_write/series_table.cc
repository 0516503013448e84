#include "collector/remote_write/series_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "collector/remote_write/proto_wire.h"
#include "common/labels.h"

namespace fleet::collector {
namespace {

/// A TimeSeries' field 1, a Label.
void PutLabel(absl::string_view name, absl::string_view value, std::string& out) {
  const size_t size = proto::TextFieldBytes(name.size()) + proto::TextFieldBytes(value.size());
  proto::PutTag(1, proto::kBytes, out);
  proto::PutVarint(size, out);
  proto::PutText(1, name, out);
  proto::PutText(2, value, out);
}

char* Put(absl::string_view text, char* out) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

}  // namespace

HostLabels::HostLabels(absl::string_view name, absl::string_view job_name) {
  PutLabel("host", name, host);
  PutLabel("instance", name, instance);
  PutLabel("job", job_name, job);
}

void SeriesTable::Add(absl::string_view family, absl::Span<const Label> labels, bool ours,
                      uint32_t value_index) {
  std::vector<Label> sorted = {{"__name__", family}};
  for (const Label& label : labels) {
    if (!label.value.empty()) sorted.push_back(label);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const Label& a, const Label& b) { return a.name < b.name; });
  const auto at = [this] { return static_cast<uint32_t>(text_.size()); };
  Series series = {};
  series.begin = at();
  series.ours = ours;
  series.value_index = value_index;
  size_t i = 0;
  const auto put_below = [&](absl::string_view name) {
    for (; i < sorted.size() && sorted[i].name < name; ++i) {
      PutLabel(sorted[i].name, sorted[i].value, text_);
    }
    return at();
  };
  series.host_at = put_below("host");
  series.instance_at = put_below("instance");
  series.job_at = put_below("job");
  for (; i < sorted.size(); ++i) PutLabel(sorted[i].name, sorted[i].value, text_);
  series.end = at();
  series_.push_back(series);
}

absl::string_view SeriesTable::key(size_t i) const {
  return absl::string_view(text_).substr(series_[i].begin, series_[i].end - series_[i].begin);
}

absl::string_view SeriesTable::Decode(size_t i, std::vector<Label>& labels) const {
  labels.clear();
  absl::string_view name;
  segment::Reader in(key(i));
  while (in.left() > 0) {
    in.Byte();
    in.Varint();
    in.Byte();
    const absl::string_view label = in.Text();
    in.Byte();
    const absl::string_view value = in.Text();
    if (label == "__name__") {
      name = value;
    } else {
      labels.push_back({label, value});
    }
  }
  return name;
}

size_t SeriesTable::label_bytes(size_t i, const HostLabels& host) const {
  const Series& series = series_[i];
  return series.end - series.begin + host.instance.size() + host.job.size() +
         (series.ours ? host.host.size() : 0);
}

char* SeriesTable::PutLabels(size_t i, const HostLabels& host, char* out) const {
  const Series& series = series_[i];
  const absl::string_view text = text_;
  out = Put(text.substr(series.begin, series.host_at - series.begin), out);
  if (series.ours) out = Put(host.host, out);
  out = Put(text.substr(series.host_at, series.instance_at - series.host_at), out);
  out = Put(host.instance, out);
  out = Put(text.substr(series.instance_at, series.job_at - series.instance_at), out);
  out = Put(host.job, out);
  return Put(text.substr(series.job_at, series.end - series.job_at), out);
}

std::shared_ptr<const SeriesTable> SeriesTables::Of(
    std::shared_ptr<const PublishedLayout> published) {
  const PublishedLayout* const address = published.get();
  {
    MutexLock lock(mutex_);
    const auto found = by_layout_.find(address);
    if (found != by_layout_.end()) {
      if (auto table = found->second.lock()) return table;
    }
  }
  auto table = std::make_shared<SeriesTable>();
  for (const PublishedLayout::Slice& slice : published->slices) {
    table->AddFamily(slice.family);
    for (uint32_t i = slice.begin; i < slice.end; ++i) {
      const uint32_t series = published->order[i];
      // The registry lets no others through.
      const auto parsed = ParseLabels(published->layout->labels(series));
      if (!parsed.ok()) continue;
      std::vector<Label> labels;
      for (const auto& [name, value] : *parsed) labels.push_back({name, value});
      table->Add(slice.family->name, labels, slice.family->ours, series);
    }
  }
  table->Keep(std::move(published));
  MutexLock lock(mutex_);
  by_layout_[address] = table;
  Sweep();
  return table;
}

void SeriesTables::Sweep() {
  if (by_layout_.size() + by_key_.size() < sweep_at_) return;
  absl::erase_if(by_layout_, [](const auto& entry) { return entry.second.expired(); });
  absl::erase_if(by_key_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<size_t>(4096, 2 * (by_layout_.size() + by_key_.size()));
}

}  // namespace fleet::collector
