// What was, from the database.

#include <algorithm>
#include <utility>

#include "collector/probes/book.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr int kDaysMax = 366;

/// How long what starts at `start` was counted into one row.
absl::Duration BucketOf(absl::Time start, absl::Time now) {
  if (start >= DayOf(now - ProbeStore::kHours)) return absl::Hours(1);
  return start >= now - ProbeStore::kDays - absl::Hours(24 * 31) ? absl::Hours(24)
                                                                 : absl::Hours(24 * 30);
}

}  // namespace

absl::StatusOr<std::vector<Downtime>> ProbeBook::Downtimes(absl::string_view token, size_t offset,
                                                           size_t limit) {
  return store_->Downtimes(token, offset, limit);
}

absl::StatusOr<std::optional<Downtime>> ProbeBook::FindDowntime(absl::string_view id) {
  return store_->FindDowntime(id);
}

absl::StatusOr<std::map<std::string, ProbeMetrics>> ProbeBook::Metrics(absl::string_view token,
                                                                       absl::Time from,
                                                                       absl::Time to,
                                                                       MetricsGroup group) {
  const absl::Time now = parts_.clock.Now();
  {
    MutexLock lock(mutex_);
    if (entries_.count(std::string(token)) == 0) return absl::NotFoundError("no such check");
  }
  // "All requests between 5:00 and 5:59 are reported at 5:00."
  const absl::Time begin = HourOf(from);
  std::map<std::string, ProbeMetrics> found;
  std::map<std::string, absl::Time> starts;
  const auto add = [&](const CountRow& row) {
    std::string key;
    if (group == MetricsGroup::kHost) key = row.vantage;
    if (group == MetricsGroup::kTime) {
      key = UpdownTime(row.start);
      starts[key] = row.start;
    }
    found[key].Add(row.metrics);
  };
  FLEET_RETURN_IF_ERROR(store_->Counts(
      token, begin, to, [&](const std::string&, const CountRow& row) { add(row); },
      [&] {
        MutexLock lock(mutex_);
        for (const auto& [key, metrics] : counts_) {
          if (key.token != token || key.hour < begin || key.hour >= to) continue;
          add({key.vantage, key.hour, metrics});
        }
      }));
  FLEET_ASSIGN_OR_RETURN(const std::vector<DownSpan> downs, store_->DownSpans(token, begin));
  if (group == MetricsGroup::kNone) found.try_emplace("");
  for (auto& [key, metrics] : found) {
    absl::Time first = from;
    absl::Time last = std::min(to, now);
    if (group == MetricsGroup::kTime) {
      first = starts[key];
      last = std::min(first + BucketOf(first, now), now);
    }
    metrics.uptime = UptimePercent(downs, first, last);
  }
  return found;
}

absl::StatusOr<std::vector<std::optional<double>>> ProbeBook::DailyUptime(absl::string_view token,
                                                                          int days) {
  const std::optional<ProbeView> view = Find(token);
  if (!view.has_value()) return absl::NotFoundError("no such check");
  const absl::Time now = parts_.clock.Now();
  const absl::Time today = DayOf(now);
  const int count = std::clamp(days, 0, kDaysMax);
  const absl::Time first = today - absl::Hours(24) * (count - 1);
  FLEET_ASSIGN_OR_RETURN(const std::vector<DownSpan> downs,
                         store_->DownSpans(view->check->token, first));
  std::vector<std::optional<double>> uptime;
  for (int i = 0; i < count; ++i) {
    const absl::Time day = first + absl::Hours(24) * i;
    const absl::Time begin = std::max(day, view->check->created_at);
    const absl::Time end = std::min(day + absl::Hours(24), now);
    uptime.push_back(begin < end ? std::optional<double>(UptimePercent(downs, begin, end))
                                 : std::nullopt);
  }
  return uptime;
}

absl::StatusOr<std::vector<ProbeEvent>> ProbeBook::Events(int64_t after, size_t limit) {
  FLEET_ASSIGN_OR_RETURN(std::vector<ProbeEvent> events, store_->Events(after, limit));
  MutexLock lock(mutex_);
  for (ProbeEvent& event : events) {
    const auto found = entries_.find(event.token);
    if (found == entries_.end()) {
      auto gone = std::make_shared<ProbeCheck>();
      gone->token = gone->name = event.token;
      event.view.check = std::move(gone);
      continue;
    }
    ProbeView view = View(found->second);
    const ProbeStatus& then = event.view.status;
    view.status.last_status = then.last_status;
    view.status.down = then.down;
    view.status.down_since = then.down_since;
    view.status.up_since = then.up_since;
    view.status.error = then.error;
    view.status.uptime = then.uptime;
    view.status.last_check_at = then.last_check_at;
    view.status.next_check_at = then.next_check_at;
    view.status.caused_by = event.downtime.has_value() ? event.downtime->caused_by : "";
    event.view = std::move(view);
  }
  return events;
}

std::vector<ProbeBook::Sampled> ProbeBook::Samples() const {
  const SteadyTime now = parts_.clock.SteadyNow();
  MutexLock lock(mutex_);
  std::vector<Sampled> all;
  for (const std::string& token : order_) {
    const ProbeEntry& entry = entries_.at(token);
    Sampled& sampled = all.emplace_back(Sampled{View(entry), entry.downs.size(), {}});
    const absl::Duration horizon = Confirmation::Horizon(entry.Rule());
    for (const auto& [key, samples] : entry.samples) {
      if (now - samples.at > horizon) continue;
      sampled.seen.push_back({key.first, key.second, samples.samples});
    }
  }
  return all;
}

ProbeBook::Facts ProbeBook::facts() const {
  Facts facts;
  {
    MutexLock lock(mutex_);
    facts = facts_;
  }
  {
    MutexLock lock(schedule_mutex_);
    facts.missed = schedule_.missed();
    facts.overrun = overrun_;
  }
  MutexLock lock(queue_mutex_);
  facts.dropped = queue_dropped_;
  facts.waiting = queue_.size();
  return facts;
}

}  // namespace fleet::collector
