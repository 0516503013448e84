#include "agent/checks/restart_history.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/parse/text.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kPrefix = "restarts/";
constexpr size_t kPointsMax = 16;
constexpr size_t kServicesMax = 128;

/// How far the counter was when it was seen to change.
struct Point {
  absl::Time time;
  uint32_t count = 0;
};

/// As remembered: "UNIX:COUNT …", oldest first. Empty for anything else.
std::vector<Point> Parse(const std::string* text) {
  std::vector<Point> points;
  if (text == nullptr) return points;
  absl::string_view rest = *text;
  for (absl::string_view word = NextWord(rest); !word.empty(); word = NextWord(rest)) {
    const size_t colon = word.find(':');
    int64_t seconds = 0;
    uint32_t count = 0;
    if (colon == absl::string_view::npos || !ParseInteger(word.substr(0, colon), seconds) ||
        !ParseInteger(word.substr(colon + 1), count) || points.size() == kPointsMax) {
      return {};
    }
    points.push_back({absl::FromUnixSeconds(seconds), count});
  }
  return points;
}

void Remember(CheckMemory& memory, absl::string_view key, const std::vector<Point>& points) {
  std::string text;
  for (const Point& point : points) {
    absl::StrAppend(&text, text.empty() ? "" : " ", absl::ToUnixSeconds(point.time), ":",
                    point.count);
  }
  memory.Set(key, std::move(text));
}

/// Adds `count` where it differs from the newest point, drops what is older than the span but for
/// the one that the span's growth is measured from. Returns whether anything changed.
bool Add(std::vector<Point>& points, uint32_t count, absl::Time now) {
  if (!points.empty() && points.back().count == count) return false;
  if (!points.empty() && points.back().count > count) points.clear();
  while (points.size() > 1 && now - points[1].time >= kCrashLoopSpan) points.erase(points.begin());
  if (points.size() == kPointsMax) points.erase(points.begin() + 1);
  points.push_back({now, count});
  return true;
}

/// Growth within the span that ends now.
uint32_t Growth(const std::vector<Point>& points, absl::Time now) {
  uint32_t from = points.front().count;
  for (const Point& point : points) {
    if (now - point.time >= kCrashLoopSpan) from = point.count;
  }
  return points.back().count - from;
}

/// Forgets services that are gone or have long been quiet.
void Prune(CheckMemory& memory, absl::Span<const SystemdRestarts> services, absl::Time now) {
  std::vector<std::string> old;
  for (const auto& [key, value] : memory.entries()) {
    absl::string_view name = key;
    if (!absl::ConsumePrefix(&name, kPrefix)) continue;
    const std::vector<Point> points = Parse(&value);
    const bool quiet = points.empty() || now - points.back().time >= kCrashLoopSpan;
    const bool known = std::any_of(services.begin(), services.end(),
                                   [name](const SystemdRestarts& s) { return s.name == name; });
    if (quiet && !known) old.push_back(key);
  }
  for (const std::string& key : old) memory.Erase(key);
}

}  // namespace

std::vector<CrashLoop> NoteRestarts(CheckMemory& memory, absl::Span<const SystemdRestarts> services,
                                    absl::Time now) {
  std::vector<CrashLoop> loops;
  for (const SystemdRestarts& service : services.subspan(0, kServicesMax)) {
    const std::string key = absl::StrCat(kPrefix, service.name);
    std::vector<Point> points = Parse(memory.Find(key));
    if (points.empty() && service.waiting) points.push_back({now, 0});
    if (Add(points, service.count, now)) Remember(memory, key, points);
    if (Growth(points, now) < kCrashLoopRestarts) continue;
    loops.push_back({service.name, service.count, points.back().time});
  }
  std::sort(loops.begin(), loops.end(),
            [](const CrashLoop& a, const CrashLoop& b) { return a.name < b.name; });
  Prune(memory, services, now);
  return loops;
}

}  // namespace fleet::agent
