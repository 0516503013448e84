#include "collector/openmetrics_export.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/str_cat.h"
#include "collector/exposition.h"
#include "collector/remote_write/segment_reader.h"
#include "common/labels.h"
#include "common/report.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr size_t kPieceBytes = size_t{64} * 1024;
/// What reports may hold of values and definitions before they are visited. However small a record,
/// its report may hold megabytes.
constexpr size_t kBatchBytes = size_t{1} << 20;
/// Text of the series of one host's tables that is kept: what an honest host has in all.
constexpr size_t kTablesBytes = size_t{16} << 20;

/// Roughly what a report of this layout holds: its values and its definitions.
size_t HeldBy(const Layout& layout) {
  return layout.size() * (sizeof(double) + sizeof(Layout::Series)) + layout.definition_bytes();
}

struct Sample {
  int64_t time_ms;
  double value;
};

/// Two walks over the segments are needed at least, because the text is by family and the segments
/// are by time: the first finds the series and counts their samples, each further one fetches the
/// samples of as many series as may be in memory at once.
class Exporter {
 public:
  Exporter(const SegmentSource& source, SeriesContext& context, const ExportRequest& request,
           absl::FunctionRef<absl::Status(absl::string_view)> write)
      : source_(source), context_(context), request_(request), write_(write) {}

  absl::StatusOr<ExportResult> Run();

 private:
  struct Series {
    const FamilyInfo* family;
    uint32_t host;
    std::string text;  // name, labels and a blank
    size_t count = 0;  // of samples, as first seen
    size_t begin = 0;  // of its samples in memory
    size_t size = 0;   // of them
  };
  /// The series of one table of one host; kept with it, so its address is no other's.
  struct Known {
    std::shared_ptr<const SeriesTable> table;
    std::vector<uint32_t> ids;    // of series_, by index in the table
    std::vector<uint32_t> fetch;  // indexes of those whose samples are fetched now
  };
  /// As the first walk found it; each walk reads as much of it.
  struct Segment {
    SegmentId id;
    absl::Duration offset;
    uint64_t reports;
    bool lost = false;  // something of it could not be read
  };
  struct Host {
    std::string name;
    std::vector<Segment> segments;
    absl::node_hash_map<const SeriesTable*, Known> tables;
    size_t table_bytes = 0;
    absl::flat_hash_map<std::string, uint32_t> ids;  // by key
    bool wanted = true;                              // in this walk
  };
  using Visit = absl::FunctionRef<void(const Known&, int64_t, const double*)>;

  absl::Status Walk(Host& host, Visit visit);
  absl::Status WalkSegment(Host& host, const Segment& segment, HostTimeline& timeline, Visit visit);
  const Known& Find(Host& host, const std::shared_ptr<const SeriesTable>& table);
  void ForgetTables(Host& host);
  bool TooMuch() const { return series_.size() > kExportSeriesMax || text_bytes_ > kExportTextMax; }
  uint32_t AddSeries(Host& host, const SeriesTable& table, size_t i);
  absl::Status Survey();
  absl::Status Fetch(size_t begin, size_t end);
  absl::Status Emit(size_t begin, size_t end);
  absl::Status Put(absl::string_view text);
  absl::Status Flush();

  const SegmentSource& source_;
  SeriesContext& context_;
  const ExportRequest& request_;
  const absl::FunctionRef<absl::Status(absl::string_view)> write_;

  std::vector<Host> hosts_;
  std::vector<Series> series_;
  std::vector<uint32_t> order_;  // of series_, as written
  std::vector<uint32_t> place_;  // the inverse
  std::map<std::string, std::shared_ptr<const FamilyInfo>> families_;
  std::vector<Sample> samples_;
  size_t fetch_begin_ = 0;  // places of the series whose samples they are
  size_t fetch_end_ = 0;
  size_t text_bytes_ = 0;                // of series_ and families_
  const FamilyInfo* written_ = nullptr;  // whose header is out
  bool surveyed_ = false;
  std::string piece_;
  ExportResult result_;
};

uint32_t Exporter::AddSeries(Host& host, const SeriesTable& table, size_t i) {
  const auto id = static_cast<uint32_t>(series_.size());
  host.ids.emplace(table.key(i), id);
  std::vector<Label> labels;
  const absl::string_view name = table.Decode(i, labels);
  labels.push_back({"instance", host.name});
  labels.push_back({"job", context_.job});
  if (table.ours(i)) labels.push_back({"host", host.name});
  Series series;
  series.family = families_.at(std::string(name)).get();
  series.host = static_cast<uint32_t>(&host - hosts_.data());
  series.text = absl::StrCat(name, "{");
  AppendLabels(labels, series.text);
  series.text.append("} ");
  text_bytes_ += table.key(i).size() + series.text.size();
  series_.push_back(std::move(series));
  return id;
}

const Exporter::Known& Exporter::Find(Host& host, const std::shared_ptr<const SeriesTable>& table) {
  Known& known = host.tables[table.get()];
  if (known.table != nullptr) return known;
  known.table = table;
  for (const auto& family : table->families()) {
    if (!families_.try_emplace(family->name, family).second) continue;
    text_bytes_ += family->name.size() + family->help.size();
  }
  for (uint32_t i = 0; i < table->size(); ++i) {
    const absl::string_view key = table->key(i);
    const auto entry = host.ids.find(key);
    uint32_t id = UINT32_MAX;  // what only turns up now has no place in the order, and is left out
    if (entry != host.ids.end()) {
      id = entry->second;
    } else if (!surveyed_) {
      id = AddSeries(host, *table, i);
    }
    known.ids.push_back(id);
    host.table_bytes += key.size();
    if (!surveyed_ || id == UINT32_MAX) continue;
    if (place_[id] >= fetch_begin_ && place_[id] < fetch_end_) known.fetch.push_back(i);
  }
  // A table holds the layout that it was made of, with what is not served.
  if (const PublishedLayout* const published = table->published(); published != nullptr) {
    host.table_bytes += HeldBy(*published->source);
  }
  return known;
}

void Exporter::ForgetTables(Host& host) {
  host.tables.clear();
  host.table_bytes = 0;
}

absl::Status Exporter::WalkSegment(Host& host, const Segment& segment, HostTimeline& timeline,
                                   Visit visit) {
  SegmentReader reader(source_, context_.layouts, host.name, segment.id);
  Batch batch;
  size_t held = 0;  // by what is in the batch
  const auto visit_batch = [&] {
    batch.VisitRows([&](const std::shared_ptr<const SeriesTable>& table, int64_t time_ms,
                        const double* values) { visit(Find(host, table), time_ms, values); });
    batch = Batch();
    held = 0;
    if (host.table_bytes > kTablesBytes) ForgetTables(host);
  };
  absl::StatusOr<bool> got = true;
  while (got.ok() && *got && reader.next_index() < segment.reports && !TooMuch()) {
    got = reader.Next([&](const DecodedReport& report) {
      const absl::Time start = report.start + segment.offset;
      const bool inside = start >= request_.since && start < request_.until;
      timeline.Take(
          report, start, [](const SeriesTable&) { return INT64_MIN; }, inside ? &batch : nullptr);
      // All of it, also what is not served: the block and the layout are held whole.
      held += HeldBy(*report.layout);
    });
    if (held + batch.samples() * sizeof(double) > kBatchBytes) visit_batch();
  }
  visit_batch();
  if (got.ok() && reader.next_index() < segment.reports) {
    return absl::DataLossError("the segment ends early");
  }
  return got.status();
}

absl::Status Exporter::Walk(Host& host, Visit visit) {
  HostTimeline timeline(context_);
  for (Segment& segment : host.segments) {
    if (!WalkSegment(host, segment, timeline, visit).ok() && !segment.lost) {
      segment.lost = true;
      ++result_.lost_segments;
    }
    if (TooMuch()) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kExportSeriesMax,
                                                       " series, or ", kExportTextMax >> 20,
                                                       " MiB of their names: ask for less"));
    }
  }
  return absl::OkStatus();
}

absl::Status Exporter::Survey() {
  for (const std::string& name : source_.Hosts()) {
    if (!request_.host.empty() && name != request_.host) continue;
    Host& host = hosts_.emplace_back();
    host.name = name;
    for (const StoredSegment& segment : source_.Segments(name)) {
      if (segment.created >= request_.until) continue;
      if (segment.created + 2 * kSegmentAgeMax < request_.since) continue;
      host.segments.push_back({segment.id, segment.offset, segment.reports});
    }
  }
  for (Host& host : hosts_) {
    FLEET_RETURN_IF_ERROR(Walk(host, [this](const Known& known, int64_t, const double*) {
      for (const uint32_t id : known.ids) ++series_[id].count;
    }));
    ForgetTables(host);
  }
  surveyed_ = true;
  for (Series& series : series_) {
    const size_t kept = std::min(series.count, request_.samples_in_memory);
    result_.left_out += series.count - kept;
    series.count = kept;
  }
  order_.resize(series_.size());
  for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
  std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) {
    const Series& left = series_[a];
    const Series& right = series_[b];
    if (const int names = left.family->name.compare(right.family->name); names != 0) {
      return names < 0;
    }
    return std::tie(left.host, left.text) < std::tie(right.host, right.text);
  });
  place_.resize(order_.size());
  for (uint32_t i = 0; i < order_.size(); ++i) place_[order_[i]] = i;
  return absl::OkStatus();
}

/// Reads the samples of the series at these places into memory.
absl::Status Exporter::Fetch(size_t begin, size_t end) {
  size_t total = 0;
  fetch_begin_ = begin;
  fetch_end_ = end;
  for (Host& host : hosts_) host.wanted = false;
  for (size_t i = begin; i < end; ++i) {
    Series& series = series_[order_[i]];
    series.begin = total;
    series.size = 0;
    total += series.count;
    hosts_[series.host].wanted = true;
  }
  samples_.resize(total);
  for (Host& host : hosts_) {
    if (!host.wanted) continue;
    FLEET_RETURN_IF_ERROR(
        Walk(host, [this](const Known& known, int64_t time_ms, const double* values) {
          for (const uint32_t i : known.fetch) {
            Series& series = series_[known.ids[i]];
            if (series.size == series.count) continue;  // no more of it may be in memory
            samples_[series.begin + series.size++] = {time_ms, values[known.table->value_index(i)]};
          }
        }));
    ForgetTables(host);
  }
  return absl::OkStatus();
}

absl::Status Exporter::Emit(size_t begin, size_t end) {
  std::string line;
  for (size_t i = begin; i < end; ++i) {
    const Series& series = series_[order_[i]];
    if (written_ != series.family) {
      written_ = series.family;
      const ShownFamily shown = ShowInOpenMetrics(
          series.family->name, series.family->type,
          [this](absl::string_view name) { return families_.contains(std::string(name)); });
      FLEET_RETURN_IF_ERROR(
          Put(FamilyHeader(shown, series.family->help, ExpositionFormat::kOpenMetrics)));
    }
    const auto first = samples_.begin() + static_cast<std::ptrdiff_t>(series.begin);
    const auto last = first + static_cast<std::ptrdiff_t>(series.size);
    const auto earlier = [](const Sample& a, const Sample& b) { return a.time_ms < b.time_ms; };
    // A clock that was set back, or a late segment.
    if (!std::is_sorted(first, last, earlier)) std::stable_sort(first, last, earlier);
    int64_t before = INT64_MIN;
    for (auto sample = first; sample != last; ++sample) {
      if (sample->time_ms == before || sample->time_ms < 0) continue;
      before = sample->time_ms;
      line = series.text;
      AppendValue(sample->value, line);
      absl::StrAppend(&line, " ", sample->time_ms / 1000, ".",
                      absl::Dec(sample->time_ms % 1000, absl::kZeroPad3), "\n");
      FLEET_RETURN_IF_ERROR(Put(line));
      ++result_.samples;
    }
    ++result_.series;
  }
  return absl::OkStatus();
}

absl::Status Exporter::Put(absl::string_view text) {
  piece_.append(text.data(), text.size());
  return piece_.size() < kPieceBytes ? absl::OkStatus() : Flush();
}

absl::Status Exporter::Flush() {
  const absl::Status written = write_(piece_);
  piece_.clear();
  return written;
}

absl::StatusOr<ExportResult> Exporter::Run() {
  FLEET_RETURN_IF_ERROR(Survey());
  for (size_t begin = 0, end = 0; begin < order_.size(); begin = end) {
    size_t samples = 0;
    while (end < order_.size() &&
           (end == begin || samples + series_[order_[end]].count <= request_.samples_in_memory)) {
      samples += series_[order_[end++]].count;
    }
    FLEET_RETURN_IF_ERROR(Fetch(begin, end));
    FLEET_RETURN_IF_ERROR(Emit(begin, end));
  }
  FLEET_RETURN_IF_ERROR(Put("# EOF\n"));
  FLEET_RETURN_IF_ERROR(Flush());
  return result_;
}

}  // namespace

absl::StatusOr<ExportResult> ExportOpenMetrics(
    const SegmentSource& source, SeriesContext& context, const ExportRequest& request,
    absl::FunctionRef<absl::Status(absl::string_view)> write) {
  return Exporter(source, context, request, write).Run();
}

}  // namespace fleet::collector
