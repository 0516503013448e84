#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "common/file_system.h"
#include "common/mutex.h"

namespace fleet::test {

/// A disk in memory that keeps the promises of POSIX and no more: bytes survive a crash only when
/// their file was synced, names of files and directories only when the directory they are in was.
/// Every call that changes something is counted, and may be the last one before the power goes.
/// Thread-safe.
///
/// A test runs its scenario once to learn how many changes it makes, then once for each of them
/// with CutAfter(n), followed by Crash and a fresh start on what is left.
class ForgetfulFileSystem final : public FileSystem {
 public:
  explicit ForgetfulFileSystem(uint64_t seed = 1) : random_(seed) {}

  /// Changes made so far: creations, appends, syncs, renames, removals, directories.
  uint64_t changes() const;
  /// The change number `n` (from 0) and all later ones fail with kUnavailable; an append may still
  /// leave a part of its bytes.
  void CutAfter(uint64_t n);
  /// What was not synced is lost: of unsynced bytes a random prefix survives, of unsynced names a
  /// random choice. Calls work again; files opened before fail for ever.
  void Crash();

  /// Bytes that all files together may have; appends beyond fail with kResourceExhausted after
  /// writing what fits. None: no bound.
  void SetSpace(std::optional<uint64_t> bytes);
  /// Makes every Sync and SyncDirectory fail while set.
  void FailSyncs(bool fail);
  /// Makes every Sync of a file wait while set, as on a disk that answers no more.
  void HoldSyncs(bool hold);
  /// From now on reads that go beyond the byte `from` of any file fail with `error`; kOk: no more.
  void FailReads(uint64_t from, absl::Status error);
  uint64_t syncs() const;  // of files and directories, that succeeded
  uint64_t bytes() const;  // of all files

  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path, uint64_t offset,
                                   size_t bytes_max) override;
  absl::Status Truncate(const std::string& path, uint64_t bytes) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override;

 private:
  class Handle;
  struct File {
    std::string bytes;
    std::string durable;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;

  /// Counts a change; false, with a status, when it comes after the cut.
  absl::Status Change() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasDirectoryOf(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// The part of Crash that is about directories: those that are left.
  std::set<std::string> DirectoriesLeft() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t Bytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AppendTo(File& file, absl::string_view bytes, uint64_t life);
  absl::Status SyncFile(File& file, uint64_t life);

  mutable Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  Names names_ ABSL_GUARDED_BY(mutex_);
  Names durable_names_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> directories_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> durable_directories_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t syncs_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t life_ ABSL_GUARDED_BY(mutex_) = 0;  // crashes so far
  std::optional<uint64_t> cut_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> space_ ABSL_GUARDED_BY(mutex_);
  bool fail_syncs_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_syncs_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t unreadable_from_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status read_error_ ABSL_GUARDED_BY(mutex_);
  std::condition_variable_any syncs_go_on_;
};

}  // namespace fleet::test
