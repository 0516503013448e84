#include "collector/journal/journal.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {

Journal::Journal(JournalOptions options, FileSystem& files, Clock& clock)
    : options_(std::move(options)),
      fs_(files),
      clock_(clock),
      log_(files, options_.dir + "/log", std::max(options_.max_bytes / 32, kLogFileBytesMin)),
      files_(files, options_.dir + "/hosts") {}

Journal::~Journal() {
  if (committer_.joinable()) {
    committer_.request_stop();
    committer_.join();
  }
  if (keeper_.joinable()) {
    keeper_.request_stop();
    keeper_.join();
  }
}

// ---- hosts ----------------------------------------------------------------------------------

const Journal::Host* Journal::Find(absl::string_view host) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? nullptr : found->second.get();
}

absl::StatusOr<Journal::Host*> Journal::FindOrAdd(absl::string_view name) {
  const auto found = hosts_.find(name);
  if (found != hosts_.end()) return found->second.get();
  if (hosts_.size() >= options_.hosts_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the journal knows ", hosts_.size(), " hosts, which is its limit"));
  }
  auto host = std::make_unique<Host>();
  host->name = std::string(name);
  Host* added = host.get();
  hosts_.emplace(name, std::move(host));
  return added;
}

std::vector<AnnouncedSegment> Journal::Announce(absl::string_view host_name, uint64_t epoch,
                                                const std::vector<AnnouncedSegment>& spool) {
  std::vector<AnnouncedSegment> safe;
  MutexLock lock(mutex_);
  const absl::StatusOr<Host*> host = FindOrAdd(host_name);
  if (!host.ok()) return safe;  // Append will say why
  HostRegistry& registry = (*host)->registry;
  registry.Announce(epoch, spool);
  (*host)->backlog_heard = clock_.SteadyNow();
  (*host)->hello_until = SteadyTime();
  for (const AnnouncedSegment& segment : spool) {
    const HostRegistry::Progress progress = registry.Of(segment.id);
    const uint64_t next = progress.over ? segment.reports : progress.durable;
    if (next > 0) safe.push_back({segment.id, next});
  }
  return safe;
}

uint64_t Journal::Accepted(absl::string_view host_name, const SegmentId& id) const {
  MutexLock lock(mutex_);
  const Host* host = Find(host_name);
  if (host == nullptr) return 0;
  const HostRegistry::Progress progress = host->registry.Of(id);
  return progress.over ? std::numeric_limits<uint64_t>::max() : progress.accepted;
}

bool Journal::IsClosed(absl::string_view host_name, const SegmentId& id) const {
  MutexLock lock(mutex_);
  const Host* host = Find(host_name);
  return host == nullptr || host->registry.Closed(id);
}

// ---- room -----------------------------------------------------------------------------------

bool Journal::HasRoomLocked(const Host* host, size_t bytes, bool backlog, size_t promised) const {
  const size_t taken = waiting_bytes_ + promised;
  if (taken == 0) return true;
  if (taken + bytes > (backlog ? kWaitingMax / 2 : kWaitingMax)) return false;
  return host == nullptr || host->waiting == 0 || host->waiting + bytes <= kHostWaitingMax;
}

bool Journal::HasRoom(absl::string_view host, size_t bytes, bool backlog) const {
  MutexLock lock(mutex_);
  return HasRoomLocked(Find(host), bytes, backlog, 0);
}

void Journal::WhenRoom(std::shared_ptr<JournalClient> client, absl::string_view host, size_t bytes,
                       bool backlog) {
  {
    MutexLock lock(mutex_);
    waiting_.push_back({std::move(client), std::string(host), bytes, backlog});
  }
  WakeWaiting();  // it may have come in between
}

void Journal::WaitNoMore(const JournalClient& client) {
  MutexLock lock(mutex_);
  std::erase_if(waiting_, [&](const Waiting& one) { return one.client.get() == &client; });
}

/// Tells those for whom there is room, first come first served, as if all of them took it.
void Journal::WakeWaiting() {
  std::vector<std::shared_ptr<JournalClient>> woken;
  {
    MutexLock lock(mutex_);
    if (log_trouble_.has_value() || file_trouble_.has_value()) return;
    size_t promised = 0;
    std::vector<Waiting> left;
    for (Waiting& waiting : waiting_) {
      if (HasRoomLocked(Find(waiting.host), waiting.bytes, waiting.backlog, promised)) {
        promised += waiting.bytes;
        woken.push_back(std::move(waiting.client));
      } else {
        left.push_back(std::move(waiting));
      }
    }
    waiting_ = std::move(left);
  }
  for (const auto& client : woken) client->Room();
}

// ---- intake ---------------------------------------------------------------------------------

void Journal::Queue(Host& host, const Records& records, uint64_t accepted) {
  LogEntry entry;
  entry.host = host.name;
  entry.id = records.id;
  entry.first_index = records.first_index;
  entry.count = records.count;
  entry.last = records.last;
  entry.created = records.created;
  entry.offset = records.offset;
  entry.data = records.data;
  if (accepted > entry.first_index) {
    absl::string_view rest;
    // The records were decoded, so they are as many as was said.
    FLEET_ASSERT(RecordsFrom(entry, accepted, rest).ok());
    entry.count = entry.end() - accepted;
    entry.first_index = accepted;
    entry.data = rest;
  }
  PutLogEntry(entry, queue_.entries);
}

absl::StatusOr<Journal::Taken> Journal::Append(const Records& records,
                                               const std::shared_ptr<JournalClient>& client) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(Host* const host, FindOrAdd(records.host));
  HostRegistry& registry = host->registry;
  const HostRegistry::Progress progress = registry.Of(records.id);
  const uint64_t end = records.first_index + records.count;
  host->heard = clock_.Now();
  if (records.backlog) host->backlog_heard = clock_.SteadyNow();
  if (progress.over) {
    repeats_ += records.count;
    return Taken{Outcome::kSafe, end, records.count};
  }
  if (records.first_index > progress.accepted) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment ", records.id.number, " goes on at report ", records.first_index,
                     ", but only ", progress.accepted, " of it ever came"));
  }
  const uint64_t repeats =
      records.count - std::min(records.count, end - std::min(end, progress.accepted));
  const bool is_new = end > progress.accepted;
  if (is_new) {
    // Whoever sends backlog asked HasRoom before it read that much.
    if (!records.backlog && !HasRoomLocked(host, records.data.size(), false, 0)) {
      return Taken{Outcome::kNoRoom, 0, 0};
    }
    FLEET_RETURN_IF_ERROR(registry.Admit(records.id));
  }
  repeats_ += repeats;
  const size_t before = queue_.entries.size();
  if (is_new) {
    Queue(*host, records, progress.accepted);
    ++waiting_entries_;
  }
  if (is_new || records.last) {
    registry.Accept(records.id, std::max(end, progress.accepted), records.last);
    registry.MakeDurable(records.id, progress.durable);
  }
  if (!is_new && end <= progress.durable) return Taken{Outcome::kSafe, progress.durable, repeats};
  const size_t bytes = queue_.entries.size() - before;
  host->waiting += bytes;
  waiting_bytes_ += bytes;
  if (queue_.waiters.empty()) {
    queue_.first = clock_.SteadyNow();
    changed_.notify_all();
  }
  queue_.waiters.push_back({client, host, records.id, std::max(end, progress.accepted), bytes});
  return Taken{Outcome::kWaits, 0, repeats};
}

bool Journal::Flush(absl::Duration timeout) {
  const SteadyTime deadline = SteadyAfter(std::chrono::steady_clock::now(), timeout);
  MutexLock lock(mutex_);
  while (!queue_.waiters.empty() || committing_ || !apply_.empty()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    changed_.wait_for(mutex_, std::chrono::milliseconds(1));
  }
  return true;
}

// ---- reading --------------------------------------------------------------------------------

std::vector<StoredSegment> Journal::Segments(absl::string_view host_name) const {
  std::vector<StoredSegment> segments;
  for (HostFiles::File& file : files_.Of(host_name)) {
    if (file.reports == 0) continue;
    StoredSegment& segment = segments.emplace_back();
    segment.host = std::string(host_name);
    segment.id = file.name.id;
    segment.created = file.name.created;
    segment.offset = file.name.offset;
    segment.reports = file.reports;
  }
  MutexLock lock(mutex_);
  const Host* host = Find(host_name);
  for (StoredSegment& segment : segments) {
    const bool over = host == nullptr || host->registry.Closed(segment.id);
    const uint64_t accepted = host == nullptr ? 0 : host->registry.Of(segment.id).accepted;
    segment.closed = over && segment.reports >= accepted;
  }
  return segments;
}

bool Journal::AwaitsOlder(absl::string_view host_name, absl::Time created) const {
  MutexLock lock(mutex_);
  const Host* host = Find(host_name);
  if (host == nullptr) return false;
  const SteadyTime now = clock_.SteadyNow();
  if (now < host->hello_until) return true;
  if (now - host->backlog_heard > kAwaitMax) return false;
  return host->registry.AwaitsOlder(created, [&](const SegmentId& id) {
    const absl::StatusOr<HostFiles::File> file = files_.Find(host_name, id);
    return file.ok() ? file->name.created : absl::InfiniteFuture();
  });
}

uint64_t Journal::version() const {
  MutexLock lock(mutex_);
  return version_;
}

uint64_t Journal::WaitForChange(uint64_t seen, SteadyTime deadline,
                                const std::stop_token& stop) const {
  MutexLock lock(mutex_);
  clock_.WaitUntil(mutex_, changed_, stop, deadline,
                   [this, seen]()
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return version_ != seen; });
  return version_;
}

absl::Duration Journal::stalled() const {
  MutexLock lock(mutex_);
  if (!committing_ && queue_.waiters.empty()) return absl::ZeroDuration();
  const SteadyTime since = committing_ ? went_round_ : std::max(went_round_, queue_.first);
  return std::max(clock_.SteadyNow() - since, absl::ZeroDuration());
}

Journal::Stats Journal::stats() const {
  Stats stats;
  stats.host_files = files_.counters();
  stats.file_bytes = files_.bytes();
  stats.files = files_.files();
  stats.log_bytes = log_.bytes();
  stats.log_files = log_.files();
  stats.syncs = log_.syncs() + stats.host_files.syncs;
  MutexLock lock(mutex_);
  stats.syncs += catalog_syncs_;
  stats.commits = commits_;
  stats.commit_seconds = absl::ToDoubleSeconds(commit_time_);
  stats.write_errors = write_errors_;
  stats.repeats = repeats_;
  stats.waiting_entries = waiting_entries_;
  stats.waiting_bytes = waiting_bytes_;
  stats.damaged_bytes = damaged_bytes_ + stats.host_files.damaged_bytes;
  for (const auto* trouble : {&log_trouble_, &file_trouble_, &upkeep_trouble_}) {
    if (stats.trouble.empty() && trouble->has_value()) stats.trouble = **trouble;
  }
  if (!stats.trouble.empty()) stats.trouble_for = clock_.SteadyNow() - trouble_since_;
  return stats;
}

}  // namespace fleet::collector
