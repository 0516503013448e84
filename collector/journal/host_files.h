#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/journal/file_name.h"
#include "collector/journal/log_entry.h"
#include "collector/journal/open_files.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/mutex.h"
#include "common/segment/wire.h"

namespace fleet::collector {

/// The segment files of all hosts, one directory each, byte by byte as the agents made them. One
/// thread writes (the calls that are not const), all may read.
class HostFiles {
 public:
  /// A segment whose file nothing was appended to for so long is synced, finished or not.
  static constexpr absl::Duration kIdleMax = absl::Minutes(10);
  static constexpr uint8_t kSyncFailuresMax = 20;
  /// An honest host makes one an hour and one for each time its link comes back.
  static constexpr size_t kFilesPerHostMax = 20'000;

  struct File {
    SegmentName name;
    uint64_t reports = 0;
    uint64_t bytes = 0;
  };
  struct Counters {
    uint64_t syncs = 0;
    uint64_t damaged_bytes = 0;  // cut off, or set aside with their file
    uint64_t damaged_files = 0;
    uint64_t reports_dropped_age = 0;
    uint64_t reports_dropped_bytes = 0;
    uint64_t reports_lost = 0;  // their place in a segment is missing: damage, or retention
  };

  HostFiles(FileSystem& files, std::string dir)
      : files_(files), dir_(std::move(dir)), open_(files) {}

  // ---- before anything else --------------------------------------------------------------------

  /// What an earlier run knew of a file that it had synced; before Open.
  void Remember(absl::string_view host, const File& file);
  /// Finds the files. Those not remembered as they are get read. Errors: by errno.
  absl::Status Open();

  // ---- the writing thread ----------------------------------------------------------------------

  /// Appends what the files miss of `entries`, all of one segment and in order, that lie in log
  /// file `log`. After an error the same may be tried again.
  absl::Status Apply(absl::Span<const LogEntry> entries, uint64_t log, SteadyTime now);

  using Key = std::pair<std::string, SegmentId>;
  /// Which file to sync next: of the lowest log first; without `force` only one that is closed (by
  /// `closed`) or idle.
  std::optional<Key> NextToSync(
      bool force, SteadyTime now,
      absl::FunctionRef<bool(absl::string_view, const SegmentId&)> closed);
  /// Syncs that file or, with it done, a directory above it: one sync, and the next call goes on.
  /// One that fails for good is given up and counted as damaged: it must not hold up all others.
  absl::Status SyncOne(const Key& key);
  /// The lowest log that holds something that is not on the disk here; UINT64_MAX: none.
  uint64_t LowestLogNeeded() const;

  /// Removes files whose newest report is older than `before`, and the oldest of a host with more
  /// than kFilesPerHostMax; then, while all have more than `bytes_max` bytes, the oldest of the
  /// host that has most; its newest file always stays.
  void Retain(absl::Time before, uint64_t bytes_max);

  // ---- any thread ------------------------------------------------------------------------------

  std::vector<std::string> Hosts() const;
  /// Oldest first.
  std::vector<File> Of(absl::string_view host) const;
  absl::StatusOr<File> Find(absl::string_view host, const SegmentId& id) const;
  /// Bytes of a segment's file from `offset` on, as far as they are taken in.
  absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id,
                                   uint64_t offset) const;
  uint64_t bytes() const;
  uint64_t files() const;
  Counters counters() const;
  /// For the catalog: what of `host` is synced and needs no reading at the next start.
  void PutSynced(absl::string_view host, std::string& out) const;

 private:
  struct Entry {
    File file;
    uint64_t log = 0;      // lowest log with what is not synced here; 0: none
    bool trusted = true;   // reports and bytes are what the file has, and nothing is behind them
    bool synced = true;    // the file's bytes are on the disk
    bool named = true;     // its name is on the disk
    bool unsure = false;   // found at start: synced or not, the log alone tells
    bool rewrite = false;  // a sync failed: only a new file can be trusted
    uint8_t failures = 0;  // to sync it, in a row
    SteadyTime appended;
  };
  struct Host {
    absl::flat_hash_map<SegmentId, Entry> files;
    uint64_t bytes = 0;
  };
  using Dirty = std::set<std::pair<uint64_t, Key>>;

  std::string PathOf(absl::string_view host) const;
  std::string PathOf(absl::string_view host, const SegmentName& name) const;
  absl::Status OpenHost(const std::string& host);
  void Examine(const std::string& host, const SegmentName& name, uint64_t bytes);
  absl::Status MakeSure(absl::string_view host, Entry& entry);
  absl::StatusOr<Entry*> Create(const LogEntry& first);
  absl::Status Append(absl::string_view host, Entry& entry, absl::string_view bytes);
  void MakeDirty(absl::string_view host, Entry& entry, uint64_t log);
  void MakeClean(const std::string& host, Entry& entry);
  absl::Status SyncFile(const std::string& host, Entry& entry);
  absl::Status SyncHosts();
  absl::Status SyncNames(const std::string& host);
  absl::Status Rewrite(const std::string& host, Entry& entry);
  bool Delete(const std::string& host, const SegmentId& id, uint64_t Counters::*counter);
  void RetainFiles();
  void RetainBytes(uint64_t bytes_max);
  Entry* FindEntry(absl::string_view host, const SegmentId& id);

  FileSystem& files_;
  const std::string dir_;
  OpenFiles open_;
  absl::flat_hash_map<std::string, absl::flat_hash_map<SegmentId, File>> remembered_;
  Dirty dirty_;                            // by lowest log
  absl::flat_hash_set<std::string> made_;  // directories of hosts
  bool hosts_named_ = true;                // the names of all of them are on the disk

  mutable Mutex mutex_;  // guards against readers; the writing thread alone changes it
  std::map<std::string, Host, std::less<>> hosts_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
