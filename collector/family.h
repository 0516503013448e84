#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/metric.h"
#include "common/mutex.h"
#include "common/segment/layout.h"

namespace fleet::collector {

/// A family as the collector serves it: one type and one help for all hosts.
struct FamilyInfo {
  std::string name;
  MetricType type = MetricType::kUntyped;
  std::string help;
  bool ours = false;  // fleet_*: carries the `host` label
};

/// Why a series of an agent is not served.
enum class Refusal : uint8_t {
  kInvalid,    // a malformed name or label
  kReserved,   // a name that only the collector may serve
  kConflict,   // another type than the family has
  kDuplicate,  // the host serves it already
  kLimit,      // beyond the series of a host
};
inline constexpr size_t kRefusals = 5;
absl::string_view RefusalName(Refusal refusal);

/// A layout as it is served: which series, grouped by family. Made once for all hosts that share
/// the layout; never changes.
struct PublishedLayout {
  struct Slice {
    std::shared_ptr<const FamilyInfo> family;
    uint32_t begin;  // of `order`
    uint32_t end;
  };
  std::shared_ptr<const Layout> source;
  /// As `source`, its labels `instance`, `job` (and `host` on fleet_*) renamed to exported_….
  std::shared_ptr<const Layout> layout;
  std::vector<Slice> slices;
  std::vector<uint32_t> order;  // indexes of series (and values)
  uint32_t refused[kRefusals] = {};
};

/// What one host may have served, and the memory it may take for that.
struct SeriesLimits {
  size_t series = 20'000;
  size_t label_bytes = 8'192;          // of one series, all labels together
  size_t definition_bytes = 16 << 20;  // names, helps and labels of all its series together
};

/// Takes out what a host must not serve: series that `others`, its other checks, serve, and what is
/// beyond its limits. What is kept of a layout counts as a whole; of one of which nothing is left
/// nothing is kept but the counts. Rare, so most hosts with the same layout share what is
/// published.
std::shared_ptr<const PublishedLayout> FitToHost(std::shared_ptr<const PublishedLayout> published,
                                                 absl::Span<const PublishedLayout* const> others,
                                                 const SeriesLimits& limits);

/// Knows the families, and publishes layouts. Type and help of known families are the collector's
/// own; of any other family whoever brings it first decides, as long as anybody serves it.
/// Thread-safe.
class FamilyRegistry {
 public:
  std::shared_ptr<const PublishedLayout> Publish(std::shared_ptr<const Layout> layout);

  /// A copy of `published` without the series that `refuse` names, for one host.
  template <typename Refuse>
  static std::shared_ptr<const PublishedLayout> Without(const PublishedLayout& published,
                                                        Refuse refuse) {
    auto copy = std::make_shared<PublishedLayout>(published);
    copy->slices.clear();
    copy->order.clear();
    for (const PublishedLayout::Slice& slice : published.slices) {
      const auto begin = static_cast<uint32_t>(copy->order.size());
      for (uint32_t i = slice.begin; i < slice.end; ++i) {
        if (const std::optional<Refusal> refusal = refuse(slice, published.order[i])) {
          ++copy->refused[static_cast<size_t>(*refusal)];
        } else {
          copy->order.push_back(published.order[i]);
        }
      }
      const auto end = static_cast<uint32_t>(copy->order.size());
      if (end > begin) copy->slices.push_back({slice.family, begin, end});
    }
    return copy;
  }

 private:
  std::shared_ptr<const FamilyInfo> Find(const Layout::Family& family, Refusal& refusal);
  std::shared_ptr<PublishedLayout> Build(std::shared_ptr<const Layout> layout);

  Mutex mutex_;
  absl::flat_hash_map<std::string, std::weak_ptr<const FamilyInfo>> families_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<const Layout*, std::weak_ptr<const PublishedLayout>> published_
      ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 4096;
};

}  // namespace fleet::collector
