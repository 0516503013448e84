#include "collector/keep.h"

#include <chrono>
#include <future>

#include "absl/strings/str_cat.h"
#include "collector/history.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::collector {

Keep::Keep(FleetState& state, EventLog& events, IsRetired is_retired, Clock& clock)
    : state_(state), is_retired_(std::move(is_retired)), clock_(clock), feed_(events, clock) {}

absl::StatusOr<std::unique_ptr<Keep>> Keep::Open(const CollectorOptions& options, FleetState& state,
                                                 EventLog& events, IsRetired is_retired,
                                                 Clock& clock) {
  std::unique_ptr<Keep> keep(new Keep(state, events, std::move(is_retired), clock));
  JournalOptions journal;
  journal.dir = options.data_dir + "/journal";
  journal.group_interval = options.journal.group_interval;
  journal.max_age = options.journal.max_age;
  journal.max_bytes = options.journal.max_bytes;
  journal.hosts_max = options.hosts_max;
  FLEET_ASSIGN_OR_RETURN(keep->journal_,
                         Journal::Open(std::move(journal), FileSystem::Real(), clock));
  keep->Restore();
  EventFeed* const feed = &keep->feed_;
  state.SetStatusObserver([feed, &clock](absl::string_view host, absl::string_view check,
                                         const ReportStatus* before, const ReportStatus& after) {
    feed->StatusChanged(host, check, before, after, clock.Now());
  });
  feed->Watch(state);
  FLEET_RETURN_IF_ERROR(keep->StartRemoteWrite(options));
  return keep;
}

Keep::~Keep() { feed_.Stop(); }

absl::Status Keep::StartRemoteWrite(const CollectorOptions& options) {
  if (options.remote_write.empty()) return absl::OkStatus();
  FLEET_ASSIGN_OR_RETURN(cursors_, OpenCursors(options.data_dir + "/remote_write.db"));
  remote_write_ = std::make_unique<RemoteWrite>(
      options.remote_write, RemoteWrite::Parts{clock_, *journal_, state_, *cursors_});
  return absl::OkStatus();
}

/// In a thread of its own, because thousands of hosts take their time; mostly it is done at once.
void Keep::Restore() {
  std::promise<void> done;
  std::future<void> wait = done.get_future();
  restorer_ = std::jthread([this, done = std::move(done)](const std::stop_token& stop) mutable {
    RestoreState(*journal_, state_, clock_.Now(), [&](absl::string_view host) {
      return !stop.stop_requested() && !is_retired_(host);
    });
    done.set_value();
  });
  wait.wait_for(absl::ToChronoMilliseconds(kRestoreWait));
}

void Keep::SetMetrics(SelfMetrics& metrics) {
  const Journal::Stats stats = journal_->stats();
  const auto set = [&metrics](const MetricDesc& desc, auto value) {
    metrics.Set(desc, {}, static_cast<double>(value));
  };
  metrics.Set(self::kJournalBytes, {{"part", "hosts"}}, static_cast<double>(stats.file_bytes));
  metrics.Set(self::kJournalBytes, {{"part", "log"}}, static_cast<double>(stats.log_bytes));
  metrics.Set(self::kJournalFiles, {{"part", "hosts"}}, static_cast<double>(stats.files));
  metrics.Set(self::kJournalFiles, {{"part", "log"}}, static_cast<double>(stats.log_files));
  set(self::kJournalCommits, stats.commits);
  set(self::kJournalCommitSeconds, stats.commit_seconds);
  set(self::kJournalSyncs, stats.syncs);
  set(self::kJournalErrors, stats.write_errors);
  set(self::kJournalWaiting, stats.waiting_entries);
  set(self::kJournalWaitingBytes, stats.waiting_bytes);
  set(self::kJournalRepeats, stats.repeats);
  const HostFiles::Counters& files = stats.host_files;
  metrics.Set(self::kJournalDropped, {{"reason", "age"}},
              static_cast<double>(files.reports_dropped_age));
  metrics.Set(self::kJournalDropped, {{"reason", "bytes"}},
              static_cast<double>(files.reports_dropped_bytes));
  metrics.Set(self::kJournalDropped, {{"reason", "lost"}}, static_cast<double>(files.reports_lost));
  set(self::kJournalDamaged, stats.damaged_bytes);
  set(self::kJournalFailing, stats.trouble.empty() ? 0 : 1);
  set(self::kEventsSuppressed, feed_.suppressed());
  if (remote_write_ != nullptr) remote_write_->SetMetrics(metrics);
}

void Keep::AddNotes(std::vector<std::string>& notes) const {
  const Journal::Stats stats = journal_->stats();
  if (!stats.trouble.empty()) {
    notes.push_back(absl::StrCat("the journal cannot write for ", HumanDuration(stats.trouble_for),
                                 ", agents keep their reports: ", stats.trouble));
  }
  if (stats.host_files.reports_dropped_bytes > 0) {
    notes.push_back(absl::StrCat("journal: ", stats.host_files.reports_dropped_bytes,
                                 " reports dropped for journal.max_bytes since the start"));
  }
  if (remote_write_ != nullptr) remote_write_->AddNotes(notes);
}

}  // namespace fleet::collector
