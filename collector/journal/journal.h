#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/journal/host_files.h"
#include "collector/journal/log.h"
#include "collector/journal/registry.h"
#include "collector/segment_source.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/mutex.h"

namespace fleet::collector {

struct JournalOptions {
  std::string dir;
  absl::Duration group_interval = absl::Milliseconds(200);
  absl::Duration max_age = absl::Hours(24 * 30);
  uint64_t max_bytes = uint64_t{4} << 30;
  size_t hosts_max = 20'000;
};

/// A stream of an agent, as the journal sees it. Called by the journal's threads, without its lock;
/// must not block.
class JournalClient {
 public:
  virtual ~JournalClient() = default;
  /// Every report of the segment below `next_index` is on the disk.
  virtual void Safe(const SegmentId& id, uint64_t next_index) = 0;
  /// There is room again, after WhenRoom.
  virtual void Room() = 0;
};

/// Every report that was ever acknowledged, until retention takes it: one shared append log with
/// one sync per group of entries, from which files per host and segment are written in the
/// background. Nobody who gives it reports waits for the disk. Thread-safe.
class Journal final : public SegmentSource {
 public:
  /// Bytes in memory that the disk has not got yet; of them the backlog may have half, and one host
  /// (unless it has none) kHostWaitingMax.
  static constexpr size_t kWaitingMax = 64 << 20;
  static constexpr size_t kHostWaitingMax = 8 << 20;
  static constexpr absl::Duration kRetryEvery = absl::Seconds(1);  // after an error of the disk
  static constexpr absl::Duration kSyncFilesEvery = absl::Milliseconds(500);
  static constexpr absl::Duration kRetainEvery = absl::Seconds(60);
  static constexpr absl::Duration kCheckpointEvery = absl::Seconds(60);
  /// Announced segments are waited for so long after the last that came.
  static constexpr absl::Duration kAwaitMax = absl::Minutes(10);
  /// What was announced is forgotten at a start, when newer reports than those that were still to
  /// come may lie here already: so long a host has to say it again. agent/backoff.h: 16 s at most.
  static constexpr absl::Duration kAwaitHelloMax = absl::Seconds(30);
  static constexpr uint64_t kLogFileBytesMin = 1 << 20;

  /// Whole records of one segment, in order.
  struct Records {
    absl::string_view host;
    SegmentId id;
    bool backlog = false;
    uint64_t first_index = 0;
    uint64_t count = 0;
    absl::string_view data;  // with the segment's header when first_index is 0
    bool last = false;       // the segment ends with them
    /// With first_index 0: as StoredSegment has them.
    absl::Time created = absl::UnixEpoch();
    absl::Duration offset;
  };
  enum class Outcome {
    kSafe,    // all were on the disk already
    kWaits,   // Safe will say so
    kNoRoom,  // not taken: wait for Room
  };
  struct Taken {
    Outcome outcome;
    uint64_t next_index = 0;  // for kSafe
    uint64_t repeats = 0;     // of the records
  };

  struct Stats {
    uint64_t commits = 0;
    double commit_seconds = 0;
    uint64_t syncs = 0;
    uint64_t write_errors = 0;
    uint64_t repeats = 0;
    uint64_t waiting_entries = 0;
    uint64_t waiting_bytes = 0;
    uint64_t file_bytes = 0;
    uint64_t files = 0;
    uint64_t log_bytes = 0;
    uint64_t log_files = 0;
    uint64_t damaged_bytes = 0;  // in files, logs and catalog
    HostFiles::Counters host_files;
    std::string trouble;  // what the disk refuses now; empty: all is well
    absl::Duration trouble_for;
  };

  /// Reads what is there and starts. Damage is cut off, set aside and counted; it never prevents a
  /// start. `files` and `clock` must outlive it. Errors: by errno, for a directory that cannot be
  /// used at all.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(JournalOptions options, FileSystem& files,
                                                       Clock& clock);
  /// Writes what waits, unless the disk refuses.
  ~Journal() override;

  // ---- intake ----------------------------------------------------------------------------------

  /// What a hello says. Returns how much of each of the segments is safe, where anything is.
  std::vector<AnnouncedSegment> Announce(absl::string_view host, uint64_t epoch,
                                         const std::vector<AnnouncedSegment>& spool);
  /// Reports of the segment that are taken in, if only into memory; UINT64_MAX when all are.
  uint64_t Accepted(absl::string_view host, const SegmentId& id) const;
  /// Whether Append would have room for so many bytes.
  bool HasRoom(absl::string_view host, size_t bytes, bool backlog) const;
  /// Takes what of `records` is new, to the disk at last; a repeat is no error. Backlog is taken
  /// whether there is room or not.
  /// Errors: kInvalidArgument for a gap before them, kResourceExhausted beyond a limit.
  absl::StatusOr<Taken> Append(const Records& records,
                               const std::shared_ptr<JournalClient>& client);
  /// Calls client->Room() once there is room for `bytes` and the disk works.
  void WhenRoom(std::shared_ptr<JournalClient> client, absl::string_view host, size_t bytes,
                bool backlog);
  /// This client has ended: it needs no room, and waits for none.
  void WaitNoMore(const JournalClient& client);

  /// Waits until all that was taken so far can be read, or `timeout` of real time is over. Returns
  /// whether it can.
  bool Flush(absl::Duration timeout);

  // ---- SegmentSource ---------------------------------------------------------------------------

  std::vector<std::string> Hosts() const override { return files_.Hosts(); }
  std::vector<StoredSegment> Segments(absl::string_view host) const override;
  absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id) const override {
    return files_.Read(host, id, 0);
  }
  absl::StatusOr<std::string> ReadFrom(absl::string_view host, const SegmentId& id,
                                       uint64_t offset) const override {
    return files_.Read(host, id, offset);
  }
  bool AwaitsOlder(absl::string_view host, absl::Time created) const override;
  uint64_t version() const override;
  uint64_t WaitForChange(uint64_t seen, SteadyTime deadline,
                         const std::stop_token& stop) const override;

  Stats stats() const;
  /// How long the committing thread has had something to do without going round: zero when it has
  /// nothing. A disk that refuses is asked again each second, and that is going round.
  absl::Duration stalled() const;

 private:
  struct Host {
    std::string name;
    HostRegistry registry;
    size_t waiting = 0;  // bytes
    absl::Time heard = absl::InfinitePast();
    SteadyTime backlog_heard;  // or announced
    SteadyTime hello_until;    // until when it may tell what is still to come, after a start
  };
  struct Waiter {
    std::shared_ptr<JournalClient> client;
    Host* host;
    SegmentId id;
    uint64_t next;
    size_t bytes;
  };
  struct Group {
    std::string entries;
    std::vector<Waiter> waiters;
    SteadyTime first;
    uint64_t log = 0;  // that has it
  };
  struct Waiting {  // for room
    std::shared_ptr<JournalClient> client;
    std::string host;
    size_t bytes;
    bool backlog;
  };

  Journal(JournalOptions options, FileSystem& files, Clock& clock);

  // Start.
  absl::Status Recover();
  absl::Status RecoverCatalog();
  absl::Status RecoverRegistry();
  absl::Status RecoverFiles();

  // The committing thread.
  void CommitLoop(const std::stop_token& stop);
  bool TakeGroup(const std::stop_token& stop, Group& group);
  absl::Status CommitGroup(Group& group);
  void Committed(Group group);

  // The keeping thread.
  void KeepLoop(const std::stop_token& stop);
  absl::Status ApplyGroup(const Group& group);
  void Applied(const Group& group);
  void Upkeep(const std::stop_token& stop);
  void SyncFiles(bool force, const std::stop_token& stop);
  absl::Status ReleaseLogs();
  absl::Status WriteCatalog();
  void WakeWaiting();

  bool HasRoomLocked(const Host* host, size_t bytes, bool backlog, size_t promised) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Host*> FindOrAdd(absl::string_view host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Host* Find(absl::string_view host) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Queue(Host& host, const Records& records, uint64_t accepted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsClosed(absl::string_view host, const SegmentId& id) const;
  SteadyTime Reserve(SteadyTime earliest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetTrouble(std::optional<std::string> Journal::*which, const absl::Status& status);
  uint64_t LogBytesMax() const { return std::max(options_.max_bytes / 4, 2 * kLogFileBytesMin); }

  const JournalOptions options_;
  FileSystem& fs_;
  Clock& clock_;
  JournalLog log_;
  HostFiles files_;

  mutable Mutex mutex_;
  mutable std::condition_variable_any changed_;
  absl::flat_hash_map<std::string, std::unique_ptr<Host>> hosts_ ABSL_GUARDED_BY(mutex_);
  Group queue_ ABSL_GUARDED_BY(mutex_);
  bool committing_ ABSL_GUARDED_BY(mutex_) = false;       // a group is between queue_ and apply_
  SteadyTime went_round_ ABSL_GUARDED_BY(mutex_);         // the committing thread
  std::deque<Group> apply_ ABSL_GUARDED_BY(mutex_);       // on the disk, not yet in files
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);  // for room
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t waiting_entries_ ABSL_GUARDED_BY(mutex_) = 0;
  SteadyTime next_sync_ ABSL_GUARDED_BY(mutex_);  // none before
  // What the disk refuses: to take groups (no acks), to take files (soon no room), upkeep.
  std::optional<std::string> log_trouble_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> file_trouble_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> upkeep_trouble_ ABSL_GUARDED_BY(mutex_);
  SteadyTime trouble_since_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t commits_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration commit_time_ ABSL_GUARDED_BY(mutex_);
  uint64_t write_errors_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t repeats_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t damaged_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t catalog_syncs_ ABSL_GUARDED_BY(mutex_) = 0;

  // The keeping thread's, and before it starts Recover's.
  std::vector<uint64_t> unrecovered_;  // logs whose entries are not all in files yet
  SteadyTime sync_files_at_;
  SteadyTime retain_at_;
  SteadyTime checkpoint_at_;

  // Last: they use all of the above.
  std::jthread keeper_;
  std::jthread committer_;
};

}  // namespace fleet::collector
