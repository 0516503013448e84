#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "agent/spool_segment.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/mutex.h"
#include "common/report.h"
#include "common/segment/encoder.h"

namespace fleet::agent {

struct SpoolOptions {
  std::string directory;                // empty: in memory alone
  std::vector<std::string> collectors;  // as agent.yaml names them; numbered from 0
  uint64_t epoch = 0;
  absl::Duration age_max = absl::Hours(7 * 24);
  uint64_t bytes_max = 256 << 20;
  size_t segments_max = 4096;  // a hello lists them all
  bool thread = true;          // false: the owner calls Work, for tests
  bool flushed = false;        // the owner calls Flush when a tick is over
};

/// The reports of this agent until every collector has them: encoded once into segments, handed to
/// the live streams from memory, kept in files of docs/segment.md, and read back from there for a
/// collector that missed them. Bounded by age, bytes and number of segments; drops the oldest and
/// counts. One thread of its own does everything that touches the disk, so that a slow or dead disk
/// delays nobody. What was written survives the process, what was synced survives the machine.
/// A disk that takes nothing is tried again for ever, while a few MiB are kept in memory.
/// Thread-safe; streams are opened and closed by their one owner.
class Spool {
 public:
  /// A calm report waits this long for the others of its tick: one message, one write. Live streams
  /// wait for Flush instead where the owner calls it.
  static constexpr absl::Duration kLinger = absl::Milliseconds(50);
  /// What not every collector has acked is synced this long after it was written.
  static constexpr absl::Duration kSyncInterval = absl::Seconds(1);
  /// Live starts with the current segment if that is younger; else with a fresh one.
  static constexpr absl::Duration kLiveStartAge = absl::Seconds(2);
  /// The wall clock was set when it moved more than this against the steady one.
  static constexpr absl::Duration kClockStep = absl::Seconds(1);
  static constexpr absl::Duration kRetryInterval = absl::Seconds(5);  // of a disk that failed
  static constexpr absl::Duration kAcksInterval = absl::Seconds(10);  // between writes of acks
  static constexpr size_t kMemoryBytesMax = 4 << 20;        // what waits for the disk, or has none
  static constexpr size_t kMemorySegmentBytes = 256 << 10;  // what is dropped at once then
  static constexpr size_t kLiveLagBytesMax = 1 << 20;       // then live skips to the newest
  static constexpr size_t kChunkBytes = 256 << 10;          // of backlog in one message
  static constexpr size_t kUnackedBytesMax = 4 << 20;       // of backlog in flight
  /// The bytes in flight grow while acks come faster than this, so that a slow path is never so
  /// full that live reports queue behind the backlog for long.
  static constexpr absl::Duration kAckTime = absl::Milliseconds(700);
  static constexpr size_t kWindowMin = 32 << 10;
  static constexpr int kRefusalsMax = 3;  // of one segment by one collector, then it is dropped
  static constexpr size_t kDamagedFilesMax = 16;  // kept aside

  /// Records of one segment, as they go on the wire.
  struct Batch {
    SegmentId segment;
    uint64_t first_index = 0;
    std::string records;  // may be empty in the last batch
    bool last = false;
    std::optional<absl::Duration> age;  // of the segment; nothing when made in another boot
  };

  static constexpr uint64_t kReportsUnknown = ~uint64_t{0};

  struct Closed {
    SegmentId id;
    uint64_t reports = 0;  // kReportsUnknown: found at the start and not read yet
  };

  struct Stats {
    uint64_t reports = 0;  // that wait for the collector asked about, apart from its live stream's
    uint64_t segments = 0;
    uint64_t bytes = 0;
    absl::Duration oldest_age;
    uint64_t dropped_reports = 0;  // for a bound, since the start
    uint64_t damaged_bytes = 0;    // found unreadable, since the start
  };

  /// `files`, `clock` and `boot` must outlive it.
  Spool(SpoolOptions options, FileSystem& files, Clock& clock, BootClock& boot);
  /// Closes the segment and writes and syncs what is left.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// As the destructor, for a process that must end without; nothing may be called after it.
  void Close();

  uint64_t epoch() const { return options_.epoch; }

  /// Encodes a report into the current segment.
  void Add(const Report& report);

  /// The tick is over: what was added leaves now. Spares the timer of kLinger, which wakes gRPC's
  /// two threads for timers some four times.
  void Flush();

  /// `wake(delay)` is called, with the spool's lock held, when that collector's streams have
  /// something to do after `delay`. Null: no more.
  void SetWake(size_t collector, std::function<void(absl::Duration delay)> wake);

  /// That collector listens to live reports from now on. Returns the checks whose newest report is
  /// not among those: run them, and its view is complete.
  std::vector<std::string> OpenLive(size_t collector);
  void CloseLive(size_t collector);
  std::optional<Batch> TakeLive(size_t collector);
  /// That collector's live stream takes nothing now, because its path is full or swallows what it
  /// gets; the disk does not wait for it.
  void MissLive(size_t collector);

  /// Whether closed segments wait that neither this collector nor its live stream has.
  bool BacklogWaits(size_t collector) const;
  void OpenBacklog(size_t collector);
  void CloseBacklog(size_t collector);
  /// The next chunk when it was read and may be in flight; asks for the one after it.
  std::optional<Batch> TakeBacklog(size_t collector);
  /// Whether all was sent and acked.
  bool BacklogDone(size_t collector) const;
  /// The collector refused the first segment in flight as no segment. At the third time it is
  /// given up, for it would be refused for ever. Returns whether it was.
  bool RefuseBacklog(size_t collector);

  /// Every report of the segment below `next_index` is safe with that collector.
  void Ack(size_t collector, const SegmentId& id, uint64_t next_index);

  /// Every closed segment, oldest first: what a hello says. None may be missing, for the collector
  /// takes what is not named for gone.
  std::vector<Closed> ClosedSegments() const;
  /// Whether that list is not known yet.
  bool pending() const;
  Stats stats(size_t collector) const;

  /// Does one thing with the disk that is due. False when there is none. Without a thread only.
  bool Work();
  /// Where the newest report is: its segment and its index there. For tests.
  std::pair<SegmentId, uint64_t> Newest() const;
  /// How many reports of a segment are on the disk for certain. For tests.
  uint64_t SyncedReports(const SegmentId& id) const;

 private:
  struct Live {
    bool open = false;
    SpoolSegmentPtr segment;  // null: the next one
    uint64_t offset = 0;
    uint64_t index = 0;
    std::optional<SteadyTime> due;  // when a wake was asked for
  };
  struct Flight {
    SegmentId id;
    uint64_t end_index;
    uint64_t bytes;
    SteadyTime sent;
  };
  struct Backlog {
    bool open = false;
    uint64_t passed = 0;  // order of the last segment that was sent whole
    SpoolSegmentPtr segment;
    uint64_t offset = 0;
    uint64_t index = 0;
    std::optional<Batch> ready;
    std::deque<Flight> flights;
    uint64_t in_flight = 0;
    uint64_t window = 0;
    SegmentId refused;
    int refusals = 0;
  };
  struct Collector {
    std::string name;
    std::function<void(absl::Duration)> wake;
    Live live;
    Backlog backlog;
  };
  struct LastReport {
    Verdict verdict = Verdict::kOk;
    bool absent = false;
    uint64_t segment = 0;
  };
  using Job = std::function<void()>;

  // spool.cc
  bool MustClose(SteadyTime now, absl::Time wall) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartSegment(SteadyTime now, absl::Time wall) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseCurrent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeLive(SteadyTime now, SteadyTime due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Lets the worker write what waits for it.
  void WriteNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EnforceBounds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EnforceMemory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const SpoolSegmentPtr& segment, absl::string_view bound)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// The segment ends after that many reports; what is lost is counted.
  void CutTo(SpoolSegment& segment, uint64_t reports, uint64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Retire(const SpoolSegmentPtr& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Lets what collectors have of a closed segment be written down, where others lack it.
  void NoteAcks(const SpoolSegment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim(SpoolSegment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const SpoolSegmentPtr& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration AgeOf(const SpoolSegment& segment) const;
  void NotifyWorker() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // spool_lanes.cc
  void SkipLaggards(const SpoolSegmentPtr& newest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SpoolSegmentPtr NextBacklog(size_t collector) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRead(size_t collector) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job ReadBacklogJob(size_t collector) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishRead(size_t collector, const SpoolSegmentPtr& segment,
                  const absl::StatusOr<std::string>& bytes);
  void LandFlights(Collector& collector, const SegmentId& id, uint64_t next_index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // spool_disk.cc
  void Loop(const std::stop_token& stop);
  SteadyTime NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job NextJob(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job RemoveJob() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job WriteJob(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job SyncJob(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job RewriteJob() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Job AcksJob(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Failed(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Worked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string PathOf(const SpoolSegment& segment) const;

  // spool_recovery.cc
  void Prepare();
  Job ScanJob() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Scan(const SpoolSegmentPtr& segment);
  void FinishScan(const SpoolSegmentPtr& segment, const ScanResult& scan)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Recovered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SpoolOptions options_;
  FileSystem& files_;
  Clock& clock_;
  BootClock& boot_;

  mutable Mutex mutex_;
  std::condition_variable_any condition_;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;  // something is due now
  SpoolShelf shelf_ ABSL_GUARDED_BY(mutex_);
  std::vector<Collector> collectors_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, LastReport> newest_ ABSL_GUARDED_BY(mutex_);

  std::optional<SegmentEncoder> encoder_ ABSL_GUARDED_BY(mutex_);
  SpoolSegmentPtr current_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration wall_offset_ ABSL_GUARDED_BY(mutex_);  // wall minus steady, at its start
  uint64_t dropped_reports_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t damaged_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dropping_ ABSL_GUARDED_BY(mutex_) = false;  // said so already

  // What the disk has still to do.
  bool prepared_ ABSL_GUARDED_BY(mutex_);
  bool recovered_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<SpoolSegmentPtr> active_ ABSL_GUARDED_BY(mutex_);  // with a tail, or not synced
  std::vector<std::string> to_remove_ ABSL_GUARDED_BY(mutex_);   // paths
  std::optional<SteadyTime> write_due_ ABSL_GUARDED_BY(mutex_);
  std::optional<SteadyTime> sync_due_ ABSL_GUARDED_BY(mutex_);
  std::optional<SteadyTime> acks_due_ ABSL_GUARDED_BY(mutex_);
  std::string acks_written_ ABSL_GUARDED_BY(mutex_);
  bool failing_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyTime retry_at_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace fleet::agent
