#include "agent/checks/oom_history.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kKey = "oom";
constexpr size_t kEventsMax = 16;
/// Kills that follow each other this closely are one event: an OOM storm must not make the memory
/// file change with every run for longer than it has to.
constexpr absl::Duration kOneEvent = absl::Minutes(5);

struct Event {
  absl::Time noticed;
  uint64_t kills = 0;
};

/// As remembered: "BOOT COUNT [UNIX:KILLS …]".
struct History {
  std::string boot;
  uint64_t count = 0;
  std::vector<Event> events;
};

std::optional<History> Parse(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  absl::string_view rest = *text;
  History history;
  history.boot = std::string(NextWord(rest));
  if (!ParseInteger(NextWord(rest), history.count)) return std::nullopt;
  for (absl::string_view word = NextWord(rest); !word.empty(); word = NextWord(rest)) {
    const size_t colon = word.find(':');
    int64_t seconds = 0;
    Event event;
    if (colon == absl::string_view::npos || !ParseInteger(word.substr(0, colon), seconds) ||
        !ParseInteger(word.substr(colon + 1), event.kills) || history.events.size() == kEventsMax) {
      return std::nullopt;
    }
    event.noticed = absl::FromUnixSeconds(seconds);
    history.events.push_back(event);
  }
  return history;
}

std::string Format(const History& history) {
  std::string text = absl::StrCat(history.boot, " ", history.count);
  for (const Event& event : history.events) {
    absl::StrAppend(&text, " ", absl::ToUnixSeconds(event.noticed), ":", event.kills);
  }
  return text;
}

void AddEvent(std::vector<Event>& events, absl::Time now, uint64_t kills) {
  if (!events.empty() && now - events.back().noticed < kOneEvent) {
    events.back().kills += kills;
    return;
  }
  if (events.size() == kEventsMax) events.erase(events.begin());
  events.push_back({now, kills});
}

}  // namespace

OomKills NoteOomKills(CheckMemory& memory, absl::string_view boot, absl::Duration uptime,
                      uint64_t count, absl::Time now) {
  const std::optional<History> known = Parse(memory.Find(kKey));
  History history = known.value_or(History{.boot = std::string(boot), .count = 0, .events = {}});
  uint64_t fresh = 0;
  if (!known) {
    fresh = uptime < kOomRecent ? count : 0;
  } else if (known->boot != boot || count < known->count) {
    fresh = count;
  } else {
    fresh = count - known->count;
  }
  if (!known || fresh > 0 || known->boot != boot || known->count != count) {
    if (fresh > 0) AddEvent(history.events, now, fresh);
    history.boot = std::string(boot);
    history.count = count;
    memory.Set(kKey, Format(history));
  }

  OomKills kills{.since_boot = count, .recent = 0, .last_noticed = absl::InfinitePast()};
  for (const Event& event : history.events) {
    // A clock set back must not make an old kill recent for ever.
    if (now - event.noticed >= kOomRecent || event.noticed - now >= kOomRecent) continue;
    kills.recent += event.kills;
    kills.last_noticed = std::max(kills.last_noticed, event.noticed);
  }
  return kills;
}

}  // namespace fleet::agent
