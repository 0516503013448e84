#include "collector/exposition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "collector/builtin.h"
#include "collector/gzip.h"
#include "common/report.h"

namespace fleet::collector {
namespace {

constexpr size_t kPieceBytes = size_t{64} * 1024;
constexpr size_t kValueBytesMax = 32;
constexpr size_t kNotBuiltin = SIZE_MAX;
// How many hosts ahead the processor is told to fetch values.
constexpr size_t kPrefetchRows = 12;

char* PutValue(double value, char* out) {
  // Most values are whole: counters, bytes, states.
  if (std::abs(value) < 1e15) {
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) == value && (whole != 0 || !std::signbit(value))) {
      return std::to_chars(out, out + kValueBytesMax, whole).ptr;
    }
    return std::to_chars(out, out + kValueBytesMax, value).ptr;
  }
  std::string text;
  AppendValue(value, text);
  return std::copy(text.begin(), text.end(), out);
}

absl::string_view TypeWord(MetricType type, ExpositionFormat format) {
  if (type != MetricType::kUntyped) return MetricTypeName(type);
  return format == ExpositionFormat::kText ? "untyped" : "unknown";
}

}  // namespace

/// One host's values of one layout.
struct Exposition::Row {
  const double* values;
  const HostFacts* facts;
};

/// The hosts that share a layout.
struct Exposition::Group {
  const PublishedLayout* published;
  std::vector<Row> rows;
};

struct Exposition::Part {
  uint32_t group;
  uint32_t slice;
};

struct Exposition::Family {
  absl::string_view name;
  MetricType type;
  absl::string_view help;
  size_t builtin = kNotBuiltin;
  bool ours = false;
  std::vector<Part> parts;
  absl::string_view shown;  // the name of HELP and TYPE
};

/// The rest of the piece. What does not fit is not written at all.
class Exposition::Writer {
 public:
  Writer(char* begin, char* end) : at(begin), end_(end) {}

  bool Fits(size_t size) const { return size <= static_cast<size_t>(end_ - at); }
  void Put(absl::string_view text) {
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  void Put(char c) { *at++ = c; }
  bool PutIfFits(absl::string_view text) {
    if (!Fits(text.size())) return false;
    Put(text);
    return true;
  }

  char* at;

 private:
  char* const end_;
};

absl::string_view ContentType(ExpositionFormat format) {
  return format == ExpositionFormat::kText
             ? "text/plain; version=0.0.4; charset=utf-8"
             : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

ShownFamily ShowInOpenMetrics(absl::string_view name, MetricType type,
                              absl::FunctionRef<bool(absl::string_view)> exists) {
  if (type != MetricType::kCounter) return {name, type};
  absl::string_view base = name;
  if (absl::ConsumeSuffix(&base, "_total") && !base.empty() && !exists(base)) return {base, type};
  return {name, MetricType::kUntyped};
}

std::string FamilyHeader(const ShownFamily& family, absl::string_view help,
                         ExpositionFormat format) {
  std::string escaped(help);
  if (format == ExpositionFormat::kOpenMetrics && absl::StrContains(help, '"')) {
    escaped = absl::StrReplaceAll(help, {{"\"", "\\\""}});
  }
  return absl::StrCat("# HELP ", family.name, " ", escaped, "\n# TYPE ", family.name, " ",
                      TypeWord(family.type, format), "\n");
}

Exposition::Exposition(FleetView view, ExpositionFormat format)
    : view_(std::move(view)), format_(format), buffer_(new char[kPieceBytes]) {
  Collect();
  SortFamilies();
  ChooseTypes();
}
Exposition::~Exposition() = default;

void Exposition::Collect() {
  absl::flat_hash_map<const PublishedLayout*, size_t> group_of;
  const auto add = [&](const PublishedLayout* published, Row row) {
    const auto [entry, added] = group_of.try_emplace(published, groups_.size());
    if (added) groups_.push_back({published, {}});
    groups_[entry->second].rows.push_back(row);
  };
  for (const HostView& host : view_.hosts) {
    for (const CheckView& check : host.checks) {
      if (check.published == nullptr) continue;
      add(check.published.get(), {check.block.get(), host.facts.get()});
    }
  }
  for (const ExtraSeries& extra : view_.extra) {
    add(extra.published.get(), {extra.block.get(), extra.facts.get()});
  }
  absl::flat_hash_map<const FamilyInfo*, size_t> family_of;
  for (uint32_t group = 0; group < groups_.size(); ++group) {
    const auto& slices = groups_[group].published->slices;
    for (uint32_t slice = 0; slice < slices.size(); ++slice) {
      const FamilyInfo* info = slices[slice].family.get();
      const auto [entry, added] = family_of.try_emplace(info, families_.size());
      if (added) {
        families_.push_back(
            {info->name, info->type, info->help, kNotBuiltin, info->ours, {}, info->name});
      }
      families_[entry->second].parts.push_back({group, slice});
    }
  }
  const absl::Span<const MetricDesc> builtins = BuiltinMetrics();
  for (size_t i = 0; i < builtins.size(); ++i) {
    families_.push_back(
        {builtins[i].name, builtins[i].type, builtins[i].help, i, true, {}, builtins[i].name});
  }
}

void Exposition::SortFamilies() {
  std::stable_sort(families_.begin(), families_.end(),
                   [](const Family& a, const Family& b) { return a.name < b.name; });
  // The registry has each name once; were there two, one must not be rendered twice.
  families_.erase(std::unique(families_.begin(), families_.end(),
                              [](const Family& a, const Family& b) { return a.name == b.name; }),
                  families_.end());
}

void Exposition::ChooseTypes() {
  if (format_ == ExpositionFormat::kText) return;
  absl::flat_hash_set<absl::string_view> names;
  for (const Family& family : families_) names.insert(family.name);
  for (Family& family : families_) {
    const ShownFamily shown =
        ShowInOpenMetrics(family.name, family.type,
                          [&names](absl::string_view name) { return names.contains(name); });
    family.shown = shown.name;
    family.type = shown.type;
  }
}

absl::string_view Exposition::Next() {
  Writer out(buffer_.get(), buffer_.get() + kPieceBytes);
  while (family_ < families_.size()) {
    const Family& family = families_[family_];
    if (!header_written_ && !WriteHeader(family, out)) break;
    header_written_ = true;
    if (!(family.builtin == kNotBuiltin ? WriteSeries(family, out) : WriteBuiltin(family, out))) {
      break;
    }
    ++family_;
    header_written_ = false;
    part_ = row_ = 0;
  }
  if (family_ == families_.size() && !ended_) {
    ended_ = format_ == ExpositionFormat::kText || out.PutIfFits("# EOF\n");
  }
  return {buffer_.get(), static_cast<size_t>(out.at - buffer_.get())};
}

bool Exposition::WriteHeader(const Family& family, Writer& out) const {
  return out.PutIfFits(FamilyHeader({family.shown, family.type}, family.help, format_));
}

bool Exposition::WriteSeries(const Family& family, Writer& out) {
  const size_t name_bytes = family.name.size();
  for (; part_ < family.parts.size(); ++part_, row_ = 0, series_ = 0) {
    const Part part = family.parts[part_];
    const std::vector<Row>& rows = groups_[part.group].rows;
    const PublishedLayout& published = *groups_[part.group].published;
    const Layout& layout = *published.layout;
    const PublishedLayout::Slice& slice = published.slices[part.slice];
    const uint32_t* order = published.order.data();
    for (; row_ < rows.size(); ++row_, series_ = 0) {
      const Row row = rows[row_];
      if (row_ + kPrefetchRows < rows.size()) {
        __builtin_prefetch(rows[row_ + kPrefetchRows].values + order[slice.begin]);
      }
      const absl::string_view tail = family.ours ? row.facts->our_tail : row.facts->tail;
      for (uint32_t i = slice.begin + series_; i < slice.end; ++i) {
        const absl::string_view labels = layout.labels(order[i]);
        if (!out.Fits(name_bytes + labels.size() + tail.size() + kValueBytesMax + 3)) {
          series_ = i - slice.begin;
          return false;
        }
        out.Put(family.name);
        out.Put('{');
        if (!labels.empty()) {
          out.Put(labels);
          out.Put(',');
        }
        out.Put(tail);
        out.at = PutValue(row.values[order[i]], out.at);
        out.Put('\n');
      }
    }
  }
  return true;
}

bool Exposition::WriteBuiltin(const Family& family, Writer& out) {
  std::string lines;
  for (; row_ < view_.hosts.size(); ++row_, series_ = 0) {
    lines.clear();
    AppendBuiltin(family.builtin, view_.hosts[row_], lines);
    // A host with thousands of items may need more than one piece.
    absl::string_view rest = absl::string_view(lines).substr(series_);
    while (!rest.empty()) {
      const absl::string_view line = rest.substr(0, rest.find('\n') + 1);
      if (!out.PutIfFits(line)) return false;
      rest.remove_prefix(line.size());
      series_ += static_cast<uint32_t>(line.size());
    }
  }
  return true;
}

namespace {

class ExpositionBody final : public BodySource {
 public:
  ExpositionBody(FleetView view, ExpositionFormat format, bool gzip)
      : exposition_(std::move(view), format),
        gzip_(gzip ? std::make_unique<GzipStream>() : nullptr) {}

  absl::StatusOr<size_t> Read(char* out, size_t size) override {
    while (rest_.empty() && !ended_) Refill();
    const size_t count = std::min(size, rest_.size());
    std::memcpy(out, rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  void Refill() {
    const absl::string_view piece = exposition_.Next();
    ended_ = piece.empty();
    if (gzip_ == nullptr) {
      rest_ = piece;
      return;
    }
    packed_.clear();
    gzip_->Compress(piece, ended_, packed_);
    rest_ = packed_;
  }

  Exposition exposition_;
  const std::unique_ptr<GzipStream> gzip_;
  std::string packed_;
  absl::string_view rest_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<BodySource> MakeExpositionBody(FleetView view, ExpositionFormat format, bool gzip) {
  return std::make_unique<ExpositionBody>(std::move(view), format, gzip);
}

}  // namespace fleet::collector
