#pragma once

#include <cstddef>
#include <memory>

#include "common/segment/segment.h"

namespace fleet::collector {

/// What the items of a host's checks may take, all together: what an honest host has a hundred
/// times, and what Prometheus and people can still swallow.
struct ItemLimits {
  size_t items = 8'192;
  size_t bytes = 2 << 20;  // of their names, reasons and parents
};

struct ItemsSize {
  size_t items = 0;
  size_t bytes = 0;

  ItemsSize& operator+=(const ItemsSize& other) {
    items += other.items;
    bytes += other.bytes;
    return *this;
  }
};

/// Whether `known` is, or was as long as it lived, the object `given`: an address alone may be used
/// again.
template <typename T>
bool SameObject(const std::weak_ptr<T>& known, const std::shared_ptr<T>& given) {
  return !known.owner_before(given) && !given.owner_before(known);
}

ItemsSize SizeOfItems(const ReportStatus& status);

/// `status`, or a copy without its items when they do not fit beside those of the host's `others`.
std::shared_ptr<const ReportStatus> FitItems(std::shared_ptr<const ReportStatus> status,
                                             const ItemsSize& others, const ItemLimits& limits);

}  // namespace fleet::collector
