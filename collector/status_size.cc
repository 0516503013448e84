#include "collector/status_size.h"

#include <utility>

namespace fleet::collector {

ItemsSize SizeOfItems(const ReportStatus& status) {
  ItemsSize size;
  size.items = status.items.size();
  for (const Item& item : status.items) {
    size.bytes += item.name.size() + item.reason.size() + item.parent.size();
  }
  return size;
}

std::shared_ptr<const ReportStatus> FitItems(std::shared_ptr<const ReportStatus> status,
                                             const ItemsSize& others, const ItemLimits& limits) {
  ItemsSize size = SizeOfItems(*status);
  size += others;
  if (size.items <= limits.items && size.bytes <= limits.bytes) return status;
  auto bare = std::make_shared<ReportStatus>();
  bare->absent = status->absent;
  bare->success = status->success;
  bare->verdict = status->verdict;
  bare->unknown = status->unknown;
  bare->reason = status->reason;
  bare->parent = status->parent;
  return bare;
}

}  // namespace fleet::collector
