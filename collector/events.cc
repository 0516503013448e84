#include "collector/events.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/escape.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// Written in one transaction at most.
constexpr size_t kBatchMax = 500;

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE events(
         id INTEGER PRIMARY KEY,
         time INTEGER NOT NULL,
         host TEXT NOT NULL,
         subject TEXT NOT NULL,
         kind TEXT NOT NULL,
         before TEXT NOT NULL,
         after TEXT NOT NULL,
         text TEXT NOT NULL);
       CREATE INDEX events_by_time ON events(time);
       CREATE INDEX events_by_host ON events(host, time);)",
};

Event Cut(Event event) {
  for (std::string* field :
       {&event.host, &event.subject, &event.kind, &event.from, &event.to, &event.text}) {
    *field = OneLine(*field, EventLog::kTextBytesMax);
  }
  return event;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> EventLog::Open(const std::string& path, Clock& clock,
                                                         const Limits& limits) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kNormal, kMigrations));
  return std::unique_ptr<EventLog>(new EventLog(std::move(database), clock, limits));
}

EventLog::EventLog(std::unique_ptr<Database> database, Clock& clock, const Limits& limits)
    : clock_(clock),
      limits_(limits),
      database_(std::move(database)),
      thread_([this](const std::stop_token& stop) { Write(stop); }) {}

EventLog::~EventLog() = default;

void EventLog::Append(Event event) {
  event = Cut(std::move(event));
  {
    MutexLock lock(mutex_);
    if (waiting_.size() + busy_ >= kQueueMax) {
      ++dropped_;
      return;
    }
    waiting_.push_back(std::move(event));
  }
  changed_.notify_all();
}

absl::StatusOr<std::vector<Event>> EventLog::Query(absl::string_view host, absl::Time since,
                                                   absl::Time until, size_t limit) {
  std::vector<Event> events;
  const auto take = [&events](const SqlRow& row) {
    events.push_back({row.Time(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4), row.Text(5),
                      row.Text(6)});
  };
  const auto most = static_cast<int64_t>(
      std::min<size_t>(limit, static_cast<size_t>(std::numeric_limits<int64_t>::max())));
  {
    MutexLock lock(database_mutex_);
    if (host.empty()) {
      FLEET_RETURN_IF_ERROR(
          database_->Query("SELECT time, host, subject, kind, before, after, text FROM events "
                           "WHERE time >= ? AND time < ? ORDER BY time DESC, id DESC LIMIT ?",
                           {since, until, most}, take));
    } else {
      FLEET_RETURN_IF_ERROR(database_->Query(
          "SELECT time, host, subject, kind, before, after, text FROM events "
          "WHERE host = ? AND time >= ? AND time < ? ORDER BY time DESC, id DESC LIMIT ?",
          {host, since, until, most}, take));
    }
  }
  std::reverse(events.begin(), events.end());
  return events;
}

bool EventLog::Flush(absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mutex_);
  while (!waiting_.empty() || busy_ > 0) {
    if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout) {
      return waiting_.empty() && busy_ == 0;
    }
  }
  return true;
}

absl::Status EventLog::Store(const std::vector<Event>& batch) {
  MutexLock lock(database_mutex_);
  FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                         Database::Transaction::Begin(*database_));
  for (const Event& event : batch) {
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run("INSERT INTO events(time, host, subject, kind, before, after, text) "
                  "VALUES(?, ?, ?, ?, ?, ?, ?)",
                  {event.time, event.host, event.subject, event.kind, event.from, event.to,
                   event.text})
            .status());
  }
  return transaction.Commit();
}

absl::Status EventLog::Trim() {
  MutexLock lock(database_mutex_);
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM events WHERE time < ?", {clock_.Now() - limits_.age}).status());
  // Ids grow by one, so that what is too old by number is found without counting.
  return database_
      ->Run("DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - ?", {limits_.events})
      .status();
}

void EventLog::Write(const std::stop_token& stop) {
  SteadyTime trim_at = clock_.SteadyNow();
  bool failing = false;
  std::vector<Event> batch;
  while (true) {
    {
      MutexLock lock(mutex_);
      if (batch.empty()) {
        clock_.WaitUntil(mutex_, changed_, stop, trim_at,
                         [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !waiting_.empty(); });
        const size_t count = std::min(waiting_.size(), kBatchMax);
        std::move(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count),
                  std::back_inserter(batch));
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
        busy_ = batch.size();
      } else {
        clock_.WaitUntil(mutex_, changed_, stop, SteadyAfter(clock_.SteadyNow(), kRetryEvery),
                         [] { return false; });
      }
    }
    absl::Status status;
    if (!batch.empty()) status = Store(batch);
    if (status.ok()) {
      written_ += batch.size();
      MutexLock lock(mutex_);
      batch.clear();
      busy_ = 0;
      changed_.notify_all();
      if (stop.stop_requested() && waiting_.empty()) return;
    }
    if (status.ok() && clock_.SteadyNow() >= trim_at) {
      trim_at = SteadyAfter(clock_.SteadyNow(), kTrimEvery);
      status = Trim();
    }
    if (!status.ok() && !failing) log::Error("events cannot be written", {{"error", status}});
    if (status.ok() && failing) log::Info("events are written again");
    failing = !status.ok();
    if (failing && stop.stop_requested()) return;
  }
}

}  // namespace fleet::collector
