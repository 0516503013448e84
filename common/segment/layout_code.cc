#include "common/segment/layout_code.h"

#include <zstd.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::segment {
namespace {

using Family = SampleSet::Family;
using Series = SampleSet::Series;

// Bounds what hostile input can make us allocate; exposition text packs 10 to 20 times.
constexpr size_t kExpansionMax = 100;
constexpr int kZstdLevel = 3;
constexpr uint64_t kMetricTypes = 3;

/// Keeps a longest growing subsequence of the known origins and makes the rest new.
void KeepGrowing(Origins& origins) {
  std::vector<size_t> ends;  // ends[k]: where the best subsequence of size k + 1 ends
  std::vector<size_t> previous(origins.size());
  for (size_t i = 0; i < origins.size(); ++i) {
    if (origins[i] == kNew) continue;
    const auto place =
        std::lower_bound(ends.begin(), ends.end(), origins[i],
                         [&origins](size_t end, uint32_t origin) { return origins[end] < origin; });
    previous[i] = place == ends.begin() ? i : *(place - 1);
    if (place == ends.end()) {
      ends.push_back(i);
    } else {
      *place = i;
    }
  }
  std::vector<bool> kept(origins.size());
  if (!ends.empty()) {
    for (size_t i = ends.back();; i = previous[i]) {
      kept[i] = true;
      if (previous[i] == i) break;
    }
  }
  for (size_t i = 0; i < origins.size(); ++i) {
    if (!kept[i]) origins[i] = kNew;
  }
}

Origins FamilyOrigins(absl::Span<const Family> before, absl::Span<const Family> after) {
  absl::flat_hash_map<absl::string_view, uint32_t> known;
  for (uint32_t i = 0; i < before.size(); ++i) known.emplace(before[i].name, i);
  Origins origins(after.size(), kNew);
  for (size_t i = 0; i < after.size(); ++i) {
    const auto found = known.find(after[i].name);
    if (found != known.end() && before[found->second] == after[i]) origins[i] = found->second;
  }
  KeepGrowing(origins);
  return origins;
}

Origins SeriesOrigins(const SampleSet& before, const SampleSet& after,
                      const Origins& family_origins) {
  absl::flat_hash_map<std::pair<uint32_t, absl::string_view>, uint32_t> known;
  for (uint32_t i = 0; i < before.size(); ++i) {
    known.emplace(std::make_pair(before.series()[i].family, before.labels(i)), i);
  }
  Origins origins(after.size(), kNew);
  for (size_t i = 0; i < after.size(); ++i) {
    const uint32_t family = family_origins[after.series()[i].family];
    if (family == kNew) continue;
    const auto found = known.find({family, after.labels(i)});
    if (found != known.end()) origins[i] = found->second;
  }
  KeepGrowing(origins);
  return origins;
}

/// The list as runs: each old (n entries after skipping some) or new (n entries follow).
template <typename PutNew>
void PutRuns(const Origins& origins, std::string& out, PutNew put_new) {
  PutVarint(origins.size(), out);
  uint32_t cursor = 0;
  for (size_t begin = 0; begin < origins.size();) {
    const bool old = origins[begin] != kNew;
    size_t end = begin + 1;
    while (end < origins.size() &&
           (old ? origins[end] == origins[end - 1] + 1 && origins[end] != kNew
                : origins[end] == kNew)) {
      ++end;
    }
    PutVarint((end - begin) << 1 | (old ? 1 : 0), out);
    if (old) {
      PutVarint(origins[begin] - cursor, out);
      cursor = origins[end - 1] + 1;
    } else {
      for (size_t i = begin; i < end; ++i) put_new(i);
    }
    begin = end;
  }
}

template <typename GetNew, typename CopyOld>
absl::Status GetRuns(Reader& in, size_t size_max, size_t before_size, GetNew get_new,
                     CopyOld copy_old, Origins& origins) {
  const uint64_t size = in.Varint();
  if (size > size_max) {
    return absl::ResourceExhaustedError(absl::StrCat(size, " definitions, limit ", size_max));
  }
  // Every entry takes a byte, or is an old one.
  if (size > in.left() + before_size) return absl::InvalidArgumentError("malformed definitions");
  origins.reserve(static_cast<size_t>(size));
  uint64_t cursor = 0;
  while (origins.size() < size) {
    const uint64_t run = in.Varint();
    const uint64_t count = run >> 1;
    if (count == 0 || count > size - origins.size()) {
      return absl::InvalidArgumentError("malformed run");
    }
    if ((run & 1) != 0) {
      const uint64_t skip = in.Varint();
      if (skip > before_size - cursor || count > before_size - cursor - skip) {
        return absl::InvalidArgumentError("run beyond the old definitions");
      }
      cursor += skip;
      for (uint64_t i = 0; i < count; ++i, ++cursor) {
        origins.push_back(static_cast<uint32_t>(cursor));
        if (!copy_old(cursor)) return absl::InvalidArgumentError("series without its family");
      }
    } else {
      for (uint64_t i = 0; i < count; ++i) {
        origins.push_back(kNew);
        if (!get_new()) return absl::InvalidArgumentError("malformed definition");
      }
    }
  }
  return absl::OkStatus();
}

void PutPacked(absl::string_view text, std::string& out) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const size_t size =
      ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), kZstdLevel);
  const bool pays =
      ZSTD_isError(size) == 0 && size < text.size() && text.size() / kExpansionMax < size;
  PutVarint(text.size(), out);
  PutVarint(pays ? size : 0, out);
  out.append(pays ? packed.data() : text.data(), pays ? size : text.size());
}

absl::Status GetPacked(Reader& in, size_t size_max, std::string& text) {
  const uint64_t size = in.Varint();
  const uint64_t packed_size = in.Varint();
  if (size > size_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("definitions of ", size, " bytes, limit ", size_max));
  }
  const absl::string_view bytes = in.Bytes(packed_size == 0 ? size : packed_size);
  if (!in.ok()) return absl::InvalidArgumentError("definitions are cut");
  if (packed_size == 0) {
    text = std::string(bytes);
    return absl::OkStatus();
  }
  if (size / kExpansionMax >= packed_size) {
    return absl::InvalidArgumentError("definitions are packed beyond belief");
  }
  text.resize(static_cast<size_t>(size));
  if (ZSTD_decompress(text.data(), text.size(), bytes.data(), bytes.size()) != size) {
    return absl::InvalidArgumentError("definitions do not unpack");
  }
  return absl::OkStatus();
}

/// Collects a layout while its definitions are read.
class LayoutReader {
 public:
  LayoutReader(Reader& in, const Layout& before, const SegmentLimits& limits)
      : in_(in), before_(before), limits_(limits) {}

  absl::Status Read(Layout& layout, Origins& origins) {
    Origins family_origins;
    FLEET_RETURN_IF_ERROR(GetRuns(
        in_, limits_.families, before_.families().size(), [this] { return GetFamily(); },
        [this](uint64_t i) {
          families_.push_back(before_.families()[i]);
          return true;
        },
        family_origins));
    new_family_.assign(before_.families().size(), kNew);
    for (uint32_t i = 0; i < family_origins.size(); ++i) {
      if (family_origins[i] != kNew) new_family_[family_origins[i]] = i;
    }
    FLEET_RETURN_IF_ERROR(GetRuns(
        in_, limits_.series, before_.size(), [this] { return GetSeries(); },
        [this](uint64_t i) { return CopySeries(i); }, origins));
    if (!in_.ok() || in_.left() != 0) {
      return absl::InvalidArgumentError("definitions are too long");
    }
    if (text_.size() > limits_.definition_bytes) {
      return absl::ResourceExhaustedError("labels beyond the limit");
    }
    text_.shrink_to_fit();
    series_.shrink_to_fit();
    families_.shrink_to_fit();
    layout = Layout(std::move(families_), std::move(series_), std::move(text_));
    return absl::OkStatus();
  }

 private:
  bool GetFamily() {
    const absl::string_view name = in_.Text();
    const uint64_t type = in_.Byte();
    const absl::string_view help = in_.Text();
    if (!in_.ok() || type >= kMetricTypes) return false;
    families_.push_back({std::string(name), static_cast<MetricType>(type), std::string(help)});
    return true;
  }
  bool GetSeries() {
    const uint64_t family = in_.Varint();
    const absl::string_view labels = in_.Text();
    if (!in_.ok() || family >= families_.size()) return false;
    Append(static_cast<uint32_t>(family), labels);
    return true;
  }
  bool CopySeries(uint64_t i) {
    const uint32_t family = new_family_[before_.series()[i].family];
    if (family == kNew) return false;
    Append(family, before_.labels(i));
    return true;
  }
  void Append(uint32_t family, absl::string_view labels) {
    series_.push_back(
        {family, static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(labels.size())});
    text_.append(labels.data(), labels.size());
  }

  Reader& in_;
  const Layout& before_;
  const SegmentLimits& limits_;
  std::vector<Family> families_;
  std::vector<Series> series_;
  std::string text_;
  std::vector<uint32_t> new_family_;  // by old index
};

}  // namespace

Origins PutLayout(const SampleSet& before, const SampleSet& samples, std::string& out) {
  const Origins families = FamilyOrigins(before.families(), samples.families());
  const Origins series = SeriesOrigins(before, samples, families);
  std::string text;
  PutRuns(families, text, [&](size_t i) {
    const Family& family = samples.families()[i];
    PutText(family.name, text);
    text.push_back(static_cast<char>(family.type));
    PutText(family.help, text);
  });
  PutRuns(series, text, [&](size_t i) {
    PutVarint(samples.series()[i].family, text);
    PutText(samples.labels(i), text);
  });
  PutPacked(text, out);
  return series;
}

absl::Status GetLayout(Reader& in, const Layout& before, const SegmentLimits& limits,
                       Layout& layout, Origins& origins) {
  std::string text;
  FLEET_RETURN_IF_ERROR(GetPacked(in, limits.definition_bytes, text));
  Reader definitions(text);
  return LayoutReader(definitions, before, limits).Read(layout, origins);
}

}  // namespace fleet::segment
