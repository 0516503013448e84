// The journal's start: what the catalog, the files and the log say, put together.
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/journal/catalog.h"
#include "collector/journal/journal.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr size_t kCatalogBytesMax = size_t{1} << 30;

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(JournalOptions options, FileSystem& files,
                                                       Clock& clock) {
  std::unique_ptr<Journal> journal(new Journal(std::move(options), files, clock));
  FLEET_RETURN_IF_ERROR(journal->Recover());
  Journal* const self = journal.get();
  journal->keeper_ = std::jthread([self](const std::stop_token& stop) { self->KeepLoop(stop); });
  journal->committer_ =
      std::jthread([self](const std::stop_token& stop) { self->CommitLoop(stop); });
  return journal;
}

absl::Status Journal::Recover() {
  FLEET_RETURN_IF_ERROR(MakeDirectories(fs_, options_.dir));
  FLEET_RETURN_IF_ERROR(RecoverCatalog());
  FLEET_RETURN_IF_ERROR(files_.Open());
  FLEET_RETURN_IF_ERROR(log_.Open());
  for (const auto& [number, bytes] : log_.Sizes()) unrecovered_.push_back(number);
  FLEET_RETURN_IF_ERROR(RecoverRegistry());
  const SteadyTime now = clock_.SteadyNow();
  retain_at_ = sync_files_at_ = now;
  checkpoint_at_ = SteadyAfter(now, kCheckpointEvery);
  {
    MutexLock lock(mutex_);
    next_sync_ = now;
  }
  SetTrouble(&Journal::file_trouble_, RecoverFiles());  // a full disk prevents no start
  {
    MutexLock lock(mutex_);
    for (const auto& [name, host] : hosts_) host->hello_until = SteadyAfter(now, kAwaitHelloMax);
  }
  const Stats found = stats();
  log::Info("the journal is open", {{"hosts", files_.Hosts().size()},
                                    {"files", found.files},
                                    {"bytes", found.file_bytes},
                                    {"log_bytes", found.log_bytes},
                                    {"damaged_bytes", found.damaged_bytes}});
  return absl::OkStatus();
}

absl::Status Journal::RecoverCatalog() {
  const std::string path = options_.dir + "/catalog";
  const absl::StatusOr<std::string> bytes = ReadWhole(fs_, path, kCatalogBytesMax);
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(bytes.status());
  absl::StatusOr<std::vector<CatalogHost>> hosts = ParseCatalog(*bytes);
  if (!hosts.ok()) {
    log::Error("the journal's catalog is damaged and set aside: every file is read instead");
    fs_.Rename(path, path + ".damaged").IgnoreError();  // the next one replaces it anyway
    MutexLock lock(mutex_);
    damaged_bytes_ += bytes->size();
    return absl::OkStatus();
  }
  MutexLock lock(mutex_);
  for (CatalogHost& known : *hosts) {
    for (const HostFiles::File& file : known.files) files_.Remember(known.name, file);
    auto host = std::make_unique<Host>();
    host->name = known.name;
    host->heard = known.heard;
    host->registry = std::move(known.registry);
    hosts_[known.name] = std::move(host);
  }
  return absl::OkStatus();
}

/// Both the log and the files may know of reports that the catalog does not.
absl::Status Journal::RecoverRegistry() {
  JournalLog::Scan scan;
  const auto take = [this](const LogEntry& entry) {
    MutexLock lock(mutex_);
    const absl::StatusOr<Host*> host = FindOrAdd(entry.host);
    if (!host.ok()) return absl::OkStatus();
    // Behind damage an entry may stand alone: it is not in any file, so nor is it taken in.
    if (entry.first_index <= (*host)->registry.Of(entry.id).durable) {
      (*host)->registry.Recover(entry.id, entry.end(), entry.last);
    }
    return absl::OkStatus();
  };
  for (const std::string& name : files_.Hosts()) {
    const std::vector<HostFiles::File> files = files_.Of(name);
    MutexLock lock(mutex_);
    const absl::StatusOr<Host*> host = FindOrAdd(name);
    if (!host.ok()) continue;
    for (const HostFiles::File& file : files) {
      if ((*host)->registry.Of(file.name.id).durable < file.reports) {
        (*host)->registry.Recover(file.name.id, file.reports, false);
      }
    }
  }
  for (const uint64_t number : unrecovered_) {
    FLEET_RETURN_IF_ERROR(log_.Replay(number, take, scan));
  }
  MutexLock lock(mutex_);
  damaged_bytes_ += scan.damaged_bytes;
  return absl::OkStatus();
}

/// Gives the files what only the log has. What they have already is found and skipped, so that it
/// may be done again after an error.
absl::Status Journal::RecoverFiles() {
  while (!unrecovered_.empty()) {
    const uint64_t number = unrecovered_.front();
    JournalLog::Scan scan;
    FLEET_RETURN_IF_ERROR(log_.Replay(
        number,
        [&](const LogEntry& entry) {
          return files_.Apply(absl::MakeConstSpan(&entry, 1), number, clock_.SteadyNow());
        },
        scan));
    unrecovered_.erase(unrecovered_.begin());
  }
  return absl::OkStatus();
}

}  // namespace fleet::collector
