#include "common/segment/layout.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace fleet {

std::shared_ptr<const Layout> LayoutPool::Intern(Layout layout) {
  const uint64_t hash = absl::HashOf(layout);
  MutexLock lock(mutex_);
  std::vector<std::weak_ptr<const Layout>>& bucket = layouts_[hash];
  for (const std::weak_ptr<const Layout>& weak : bucket) {
    std::shared_ptr<const Layout> known = weak.lock();
    if (known != nullptr && *known == layout) return known;
  }
  // Not make_shared: the weak reference here would keep its memory.
  const auto made = std::shared_ptr<const Layout>(new Layout(std::move(layout)));
  bucket.push_back(made);
  if (layouts_.size() >= sweep_at_) {
    absl::erase_if(layouts_, [](auto& entry) {
      auto& weaks = entry.second;
      weaks.erase(std::remove_if(weaks.begin(), weaks.end(),
                                 [](const auto& weak) { return weak.expired(); }),
                  weaks.end());
      return weaks.empty();
    });
    sweep_at_ = std::max<size_t>(1024, 2 * layouts_.size());
  }
  return made;
}

size_t LayoutPool::size() const {
  MutexLock lock(mutex_);
  return layouts_.size();
}

}  // namespace fleet
