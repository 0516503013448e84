#include "collector/remote_write/timeline.h"

#include <algorithm>
#include <utility>

#include "collector/staleness.h"
#include "common/probe/look_report.h"

namespace fleet::collector {
namespace {

// Of a silent host a series ends after this part of the check's interval.
constexpr double kPartOfInterval = 0.95;

}  // namespace

absl::Time HostTimeline::Check::expiry() const { return end + FreshFor(interval); }

void HostTimeline::Check::End(absl::Time time, Batch* batch) {
  const int64_t time_ms = absl::ToUnixMillis(time);
  samples.End(time_ms, batch);
  builtin.End(time_ms, batch);
  published = nullptr;
  source.reset();
  items = ItemsSize();
}

void HostTimeline::Reset() {
  checks_.clear();
  next_expiry_ = silent_at_ = absl::InfiniteFuture();
  last_end_ = absl::InfinitePast();
}

HostTimeline::Check* HostTimeline::Find(absl::string_view name) {
  for (const std::unique_ptr<Check>& check : checks_) {
    if (check->name == name) return check.get();
  }
  if (checks_.size() < context_.checks_max) {
    return checks_.emplace_back(std::make_unique<Check>(name, checks_.size())).get();
  }
  // One that is over makes room.
  for (size_t id = 0; id < checks_.size(); ++id) {
    if (checks_[id]->open()) continue;
    checks_[id] = std::make_unique<Check>(name, id);
    return checks_[id].get();
  }
  return nullptr;
}

void HostTimeline::Publish(Check& check, const DecodedReport& report) {
  check.source = report.layout;
  check.published = nullptr;
  if (report.layout->size() == 0) return;
  std::vector<const PublishedLayout*> others;
  for (const std::unique_ptr<Check>& other : checks_) {
    if (other.get() != &check && other->published != nullptr) {
      others.push_back(other->published.get());
    }
  }
  check.published = FitToHost(context_.families.Publish(report.layout), others, context_.limits);
}

void HostTimeline::Take(const DecodedReport& report, absl::Time start, TakenUntil taken_until,
                        Batch* batch) {
  if (probe::IsLook(report.check)) return;
  if (start > next_expiry_) EndBefore(start, batch);
  Check* const found = Find(report.check);
  if (found == nullptr) return;
  Check& check = *found;
  check.start = start;
  check.end = start + report.duration;
  check.interval = report.interval;
  last_end_ = check.end;  // no maximum: a clock may be set back
  if (report.success()) check.last_success = check.end;
  if (!SameObject(check.source, report.layout)) Publish(check, report);

  const int64_t time_ms = absl::ToUnixMillis(start);
  if (check.published == nullptr) {
    check.samples.End(time_ms, batch);
  } else {
    std::shared_ptr<const SeriesTable> table = context_.tables.Of(check.published);
    const int64_t until = taken_until(*table);
    check.samples.Update(std::move(table), report.block, time_ms, until, batch);
  }

  HostView view;
  view.up = true;
  CheckView& of_check = view.checks.emplace_back();
  of_check.name = check.name;
  ItemsSize others;
  for (const std::unique_ptr<Check>& other : checks_) {
    if (other.get() != &check) others += other->items;
  }
  of_check.status = FitItems(report.status, others, context_.items);
  check.items = SizeOfItems(*of_check.status);
  of_check.duration = report.duration;
  of_check.last_success = check.last_success;
  BuiltinSeries series = MakeBuiltinSeries(view, BuiltinSource::kReport, context_.tables);
  const int64_t until = taken_until(*series.table);
  check.builtin.Update(std::move(series.table), std::move(series.values), time_ms, until, batch);
  FindExpiries();
}

void HostTimeline::EndBefore(absl::Time time, Batch* batch) {
  for (const std::unique_ptr<Check>& check : checks_) {
    if (check->open() && check->expiry() < time) check->End(check->expiry(), batch);
  }
}

void HostTimeline::Expire(absl::Time now, Batch& batch) {
  if (now < silent_at_) return;
  for (const std::unique_ptr<Check>& check : checks_) {
    if (!check->open()) continue;
    check->End(std::min(check->start + kPartOfInterval * check->interval, now), &batch);
  }
  FindExpiries();
}

void HostTimeline::FindExpiries() {
  next_expiry_ = silent_at_ = absl::InfiniteFuture();
  absl::Duration interval = absl::InfiniteDuration();
  for (const std::unique_ptr<Check>& check : checks_) {
    // One that has ended says nothing of how often the host should be heard.
    if (!check->open()) continue;
    interval = std::min(interval, check->interval);
    next_expiry_ = std::min(next_expiry_, check->expiry());
  }
  if (next_expiry_ != absl::InfiniteFuture()) silent_at_ = last_end_ + FreshFor(interval);
}

}  // namespace fleet::collector
