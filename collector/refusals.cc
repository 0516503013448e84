#include "collector/refusals.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace fleet::collector {

bool Refusals::IsNews(const RefusedPeer& refusal) {
  const SteadyTime now = clock_.SteadyNow();
  MutexLock lock(mutex_);
  Known& known = known_[refusal.reason];
  if (known.size() >= kKnownMax) {
    absl::erase_if(known, [now](const auto& entry) { return now - entry.second >= kRepeatEvery; });
  }
  const std::string key = absl::StrCat(refusal.address, " ", refusal.host);
  const auto found = known.find(key);
  if (found == known.end()) {
    if (known.size() >= kKnownMax) return false;
    known.emplace(key, now);
    return true;
  }
  if (now - found->second < kRepeatEvery) return false;
  found->second = now;
  return true;
}

void Refusals::Note(const RefusedPeer& refusal) {
  metrics_.Count(self::kRejected, {{"reason", refusal.reason}});
  if (!IsNews(refusal)) return;
  log::Warning("refused", {{"reason", refusal.reason},
                           {"address", refusal.address},
                           {"host", refusal.host},
                           {"error", refusal.text}});
  Event event;
  event.time = clock_.Now();
  event.host = refusal.host;
  event.subject = refusal.address;
  event.kind = "refused";
  event.to = refusal.reason;
  event.text = refusal.text;
  events_.Append(std::move(event));
}

}  // namespace fleet::collector
