#include "collector/event_feed.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace fleet::collector {
namespace {

constexpr char kVerdict[] = "verdict";
constexpr char kHost[] = "host";
constexpr char kUp[] = "up";
constexpr char kSilent[] = "silent";
constexpr char kLimit[] = "limit";
constexpr char kSpool[] = "spool";
/// Of a host's own events, where the last that said up or silent is looked for.
constexpr size_t kLookBack = 1000;

std::string Word(const ReportStatus& status) {
  return status.absent ? "absent" : std::string(VerdictName(status.verdict));
}

/// Finds items by name, mostly at the same place as before: then nothing is built.
class ItemFinder {
 public:
  explicit ItemFinder(const std::vector<Item>& items) : items_(items) {}

  const Item* Find(size_t hint, absl::string_view name) {
    if (hint < items_.size() && items_[hint].name == name) return &items_[hint];
    if (by_name_.empty()) {
      for (const Item& item : items_) by_name_.emplace(item.name, &item);
    }
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

 private:
  const std::vector<Item>& items_;
  absl::flat_hash_map<absl::string_view, const Item*> by_name_;
};

}  // namespace

EventFeed::EventFeed(EventLog& events, Clock& clock)
    : events_(events), clock_(clock), started_(clock.SteadyNow()) {}

EventFeed::~EventFeed() { Stop(); }

void EventFeed::Watch(FleetState& state) {
  state_ = &state;
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void EventFeed::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

uint64_t EventFeed::suppressed() const {
  MutexLock lock(mutex_);
  return suppressed_;
}

void EventFeed::Add(absl::string_view host, Event event) {
  event.host = std::string(host);
  {
    MutexLock lock(mutex_);
    Host& known = hosts_[host];
    const SteadyTime now = clock_.SteadyNow();
    if (known.tokens_at != SteadyTime()) {
      known.tokens = std::min(
          kBurst, known.tokens + kPerSecond * absl::ToDoubleSeconds(now - known.tokens_at));
    }
    known.tokens_at = now;
    if (known.tokens < 1) {
      ++suppressed_;
      return;
    }
    known.tokens -= 1;
  }
  events_.Append(std::move(event));
}

void EventFeed::StatusChanged(absl::string_view host, absl::string_view check,
                              const ReportStatus* before, const ReportStatus& after,
                              absl::Time when) {
  if (before == nullptr || before == &after) return;
  const std::string from = Word(*before);
  const std::string to = Word(after);
  if (from != to) {
    Add(host, {when, "", std::string(check), kVerdict, from, to, after.reason});
  }
  ItemFinder old_items(before->items);
  for (size_t i = 0; i < after.items.size(); ++i) {
    const Item& item = after.items[i];
    const Item* old = old_items.Find(i, item.name);
    if (old != nullptr ? old->verdict == item.verdict : item.verdict == Verdict::kOk) continue;
    Add(host, {when, "", absl::StrCat(check, "/", item.name), kVerdict,
               old == nullptr ? "" : std::string(VerdictName(old->verdict)),
               std::string(VerdictName(item.verdict)), item.reason});
  }
}

void EventFeed::SpoolDropped(absl::string_view host, uint64_t reports) {
  Add(host, {clock_.Now(), "", "", kSpool, "", "",
             absl::StrCat("the agent's spool was full: ", reports, " reports dropped")});
}

/// What the newest event says of a host; up when there is none.
bool EventFeed::WasUp(const std::string& host) const {
  const auto events = events_.Query(host, absl::InfinitePast(), absl::InfiniteFuture(), kLookBack);
  if (!events.ok()) return true;
  for (auto it = events->rbegin(); it != events->rend(); ++it) {
    if (it->kind == kHost) return it->to != kSilent;
  }
  return true;
}

void EventFeed::Look(const std::vector<HostPulse>& pulses) {
  const absl::Time now = clock_.Now();
  const bool grace = clock_.SteadyNow() - started_ < kGrace;
  for (const HostPulse& pulse : pulses) {
    std::optional<Event> event;
    bool limited = false;
    bool first = false;
    {
      MutexLock lock(mutex_);
      Host& host = hosts_[pulse.name];
      limited = pulse.limited && !host.limited;
      host.limited = pulse.limited;
      first = !host.known;
    }
    // The collector may just have started: nobody is silent because of that.
    if (first && !pulse.up && grace) continue;
    const bool was_up = first ? WasUp(pulse.name) : false;
    {
      MutexLock lock(mutex_);
      Host& host = hosts_[pulse.name];
      const bool before = first ? was_up : host.up;
      host.known = true;
      host.up = pulse.up;
      if (before && !pulse.up) {
        event = Event{pulse.last_seen, "", "", kHost, kUp, kSilent, "nothing was heard since"};
      } else if (!before && pulse.up) {
        event = Event{now, "", "", kHost, kSilent, kUp, "reports again"};
      }
    }
    if (event.has_value()) Add(pulse.name, *std::move(event));
    if (limited) {
      Add(pulse.name, {now, "", "", kLimit, "", "", "a limit is reached: see fleetctl status"});
    }
  }
}

void EventFeed::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Look(state_->Pulses());
    MutexLock lock(mutex_);
    clock_.WaitUntil(mutex_, wake_, stop, SteadyAfter(clock_.SteadyNow(), kLookEvery),
                     [] { return false; });
  }
}

}  // namespace fleet::collector
