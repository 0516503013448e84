#include "collector/family.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/known_families.h"
#include "common/escape.h"
#include "common/labels.h"

namespace fleet::collector {
namespace {

constexpr size_t kHelpBytesMax = 1024;

/// One line of valid UTF-8.
std::string CleanHelp(absl::string_view help) {
  std::string text;
  AppendLabelValue(help.substr(0, kHelpBytesMax), text);
  // AppendLabelValue also escapes quotes, which a help line does not.
  std::string clean;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') continue;
    if (text[i] == '\\' && i + 1 < text.size()) clean.push_back(text[i++]);
    clean.push_back(text[i]);
  }
  return clean;
}

bool IsOurLabel(absl::string_view name, bool ours) {
  return name == "instance" || name == "job" || (ours && name == "host");
}

/// Whether the labels can be served as they are; if not but they are valid, `renamed` is what to
/// serve instead.
enum class Labels { kGood, kRenamed, kBad };
Labels CheckLabels(absl::string_view labels, bool ours, std::string& renamed) {
  if (labels.empty()) return Labels::kGood;
  const auto parsed = ParseLabels(labels);
  if (!parsed.ok()) return Labels::kBad;
  const bool clash = std::any_of(parsed->begin(), parsed->end(), [ours](const auto& label) {
    return IsOurLabel(label.first, ours);
  });
  if (!clash) return Labels::kGood;
  std::vector<std::string> names;
  for (const auto& label : *parsed) {
    const std::string& name = label.first;
    std::string served = name;
    const auto taken = [&](const std::string& candidate) {
      return IsOurLabel(candidate, ours) ||
             std::find(names.begin(), names.end(), candidate) != names.end() ||
             (candidate != name &&
              std::any_of(parsed->begin(), parsed->end(),
                          [&](const auto& other) { return other.first == candidate; }));
    };
    while (taken(served)) served = absl::StrCat("exported_", served);
    names.push_back(std::move(served));
  }
  std::vector<Label> list;
  for (size_t i = 0; i < names.size(); ++i) list.push_back({names[i], (*parsed)[i].second});
  AppendLabels(list, renamed);
  return Labels::kRenamed;
}

}  // namespace

absl::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kInvalid:
      return "invalid";
    case Refusal::kReserved:
      return "reserved";
    case Refusal::kConflict:
      return "conflict";
    case Refusal::kDuplicate:
      return "duplicate";
    case Refusal::kLimit:
      return "limit";
  }
  return "invalid";
}

std::shared_ptr<const FamilyInfo> FamilyRegistry::Find(const Layout::Family& family,
                                                       Refusal& refusal) {
  refusal = Refusal::kInvalid;
  if (!IsMetricName(family.name) || family.name.size() > kLabelValueBytesMax) return nullptr;
  refusal = Refusal::kReserved;
  if (IsReservedFamily(family.name)) return nullptr;
  const std::optional<KnownFamily> known = FindKnownFamily(family.name);
  refusal = Refusal::kConflict;
  if (known.has_value() && known->type != family.type) return nullptr;

  MutexLock lock(mutex_);
  std::weak_ptr<const FamilyInfo>& slot = families_[family.name];
  if (std::shared_ptr<const FamilyInfo> info = slot.lock()) {
    return info->type == family.type ? info : nullptr;
  }
  auto info = std::shared_ptr<const FamilyInfo>(new FamilyInfo{
      family.name, family.type, CleanHelp(known.has_value() ? known->help : family.help),
      absl::StartsWith(family.name, "fleet_")});
  slot = info;
  return info;
}

std::shared_ptr<PublishedLayout> FamilyRegistry::Build(std::shared_ptr<const Layout> layout) {
  auto published = std::make_shared<PublishedLayout>();
  std::vector<std::shared_ptr<const FamilyInfo>> infos;
  std::vector<Refusal> refusals(layout->families().size());
  for (size_t i = 0; i < layout->families().size(); ++i) {
    infos.push_back(Find(layout->families()[i], refusals[i]));
  }
  std::vector<uint32_t> order;
  std::vector<std::pair<size_t, std::string>> renames;
  absl::flat_hash_set<std::pair<const FamilyInfo*, std::string>> seen;
  for (uint32_t i = 0; i < layout->size(); ++i) {
    const uint32_t family = layout->series()[i].family;
    std::string renamed;
    const Labels labels = infos[family] == nullptr
                              ? Labels::kGood
                              : CheckLabels(layout->labels(i), infos[family]->ours, renamed);
    if (infos[family] == nullptr || labels == Labels::kBad) {
      const Refusal why = infos[family] == nullptr ? refusals[family] : Refusal::kInvalid;
      ++published->refused[static_cast<size_t>(why)];
      continue;
    }
    const absl::string_view served =
        labels == Labels::kRenamed ? absl::string_view(renamed) : layout->labels(i);
    if (!seen.emplace(infos[family].get(), served).second) {
      ++published->refused[static_cast<size_t>(Refusal::kDuplicate)];
      continue;
    }
    if (labels == Labels::kRenamed) renames.emplace_back(i, std::move(renamed));
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return layout->series()[a].family < layout->series()[b].family;
  });
  for (uint32_t begin = 0; begin < order.size();) {
    const uint32_t family = layout->series()[order[begin]].family;
    uint32_t end = begin;
    while (end < order.size() && layout->series()[order[end]].family == family) ++end;
    published->slices.push_back({infos[family], begin, end});
    begin = end;
  }
  order.shrink_to_fit();
  published->order = std::move(order);
  published->layout = layout;
  if (!renames.empty()) {
    std::vector<Layout::Series> series(layout->series().begin(), layout->series().end());
    std::string text(layout->text());
    for (const auto& [i, labels] : renames) {
      series[i].labels_begin = static_cast<uint32_t>(text.size());
      series[i].labels_size = static_cast<uint32_t>(labels.size());
      text.append(labels);
    }
    published->layout = std::make_shared<const Layout>(
        std::vector<Layout::Family>(layout->families().begin(), layout->families().end()),
        std::move(series), std::move(text));
  }
  published->source = std::move(layout);
  return published;
}

std::shared_ptr<const PublishedLayout> FamilyRegistry::Publish(
    std::shared_ptr<const Layout> layout) {
  const Layout* key = layout.get();
  {
    MutexLock lock(mutex_);
    const auto found = published_.find(key);
    // Whoever is published holds its layout, so the address cannot be another's.
    if (found != published_.end()) {
      if (auto published = found->second.lock()) return published;
    }
  }
  std::shared_ptr<const PublishedLayout> built = Build(std::move(layout));
  MutexLock lock(mutex_);
  published_[key] = built;
  if (published_.size() + families_.size() >= sweep_at_) {
    absl::erase_if(published_, [](const auto& entry) { return entry.second.expired(); });
    absl::erase_if(families_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(4096, 2 * (published_.size() + families_.size()));
  }
  return built;
}

namespace {

size_t DefinitionBytes(const PublishedLayout& published) {
  return published.source->definition_bytes() +
         (published.layout == published.source ? 0 : published.layout->definition_bytes());
}

/// Only what was refused, without anything that takes memory.
std::shared_ptr<const PublishedLayout> OnlyCounts(const PublishedLayout& published) {
  static const auto* const nothing = new std::shared_ptr<const Layout>(  // for the whole process
      std::make_shared<const Layout>());
  auto counts = std::make_shared<PublishedLayout>();
  counts->source = *nothing;
  counts->layout = *nothing;
  std::copy(std::begin(published.refused), std::end(published.refused),
            std::begin(counts->refused));
  return counts;
}

}  // namespace

std::shared_ptr<const PublishedLayout> FitToHost(std::shared_ptr<const PublishedLayout> published,
                                                 absl::Span<const PublishedLayout* const> others,
                                                 const SeriesLimits& limits) {
  absl::flat_hash_set<const FamilyInfo*> families;
  for (const PublishedLayout::Slice& slice : published->slices) {
    families.insert(slice.family.get());
  }
  size_t held = 0;
  size_t bytes = DefinitionBytes(*published);
  absl::flat_hash_set<std::pair<const FamilyInfo*, absl::string_view>> taken;
  for (const PublishedLayout* other : others) {
    held += other->layout->size();
    bytes += DefinitionBytes(*other);
    for (const PublishedLayout::Slice& slice : other->slices) {
      if (!families.contains(slice.family.get())) continue;
      for (uint32_t i = slice.begin; i < slice.end; ++i) {
        taken.emplace(slice.family.get(), other->layout->labels(other->order[i]));
      }
    }
  }
  size_t room = limits.series - std::min(limits.series, held);
  if (bytes > limits.definition_bytes) room = 0;
  const bool long_labels = std::any_of(
      published->order.begin(), published->order.end(),
      [&](uint32_t i) { return published->layout->labels(i).size() > limits.label_bytes; });
  if (taken.empty() && published->order.size() <= room && !long_labels) {
    return published->order.empty() ? OnlyCounts(*published) : published;
  }
  std::shared_ptr<const PublishedLayout> fitting = FamilyRegistry::Without(
      *published, [&](const PublishedLayout::Slice& slice, uint32_t i) -> std::optional<Refusal> {
        const absl::string_view labels = published->layout->labels(i);
        if (taken.contains(std::make_pair(slice.family.get(), labels))) {
          return Refusal::kDuplicate;
        }
        if (room == 0 || labels.size() > limits.label_bytes) return Refusal::kLimit;
        --room;
        return std::nullopt;
      });
  return fitting->order.empty() ? OnlyCounts(*fitting) : fitting;
}

}  // namespace fleet::collector
