#include "tests/support/forgetful_file_system.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

absl::Status NotThere(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("no ", path));
}

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool IsIn(const std::string& path, const std::string& directory) {
  return ParentOf(path) == (directory == "/" ? "" : directory);
}

}  // namespace

class ForgetfulFileSystem::Handle final : public AppendFile {
 public:
  Handle(ForgetfulFileSystem& files, std::shared_ptr<File> file, uint64_t life)
      : files_(files), file_(std::move(file)), life_(life) {}
  absl::Status Append(absl::string_view bytes) override {
    return files_.AppendTo(*file_, bytes, life_);
  }
  absl::Status Sync() override { return files_.SyncFile(*file_, life_); }

 private:
  ForgetfulFileSystem& files_;
  const std::shared_ptr<File> file_;
  const uint64_t life_;
};

uint64_t ForgetfulFileSystem::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

void ForgetfulFileSystem::CutAfter(uint64_t n) {
  MutexLock lock(mutex_);
  cut_ = n;
}

void ForgetfulFileSystem::SetSpace(std::optional<uint64_t> bytes) {
  MutexLock lock(mutex_);
  space_ = bytes;
}

void ForgetfulFileSystem::FailSyncs(bool fail) {
  MutexLock lock(mutex_);
  fail_syncs_ = fail;
}

void ForgetfulFileSystem::FailReads(uint64_t from, absl::Status error) {
  MutexLock lock(mutex_);
  unreadable_from_ = from;
  read_error_ = std::move(error);
}

void ForgetfulFileSystem::HoldSyncs(bool hold) {
  MutexLock lock(mutex_);
  hold_syncs_ = hold;
  syncs_go_on_.notify_all();
}

uint64_t ForgetfulFileSystem::syncs() const {
  MutexLock lock(mutex_);
  return syncs_;
}

uint64_t ForgetfulFileSystem::bytes() const {
  MutexLock lock(mutex_);
  return Bytes();
}

uint64_t ForgetfulFileSystem::Bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, file] : names_) bytes += file->bytes.size();
  return bytes;
}

absl::Status ForgetfulFileSystem::Change() {
  if (cut_.has_value() && changes_ >= *cut_) return absl::UnavailableError("the power is gone");
  ++changes_;
  return absl::OkStatus();
}

bool ForgetfulFileSystem::HasDirectoryOf(const std::string& path) const {
  const std::string parent = ParentOf(path);
  return parent.empty() || directories_.count(parent) > 0;
}

std::set<std::string> ForgetfulFileSystem::DirectoriesLeft() {
  std::set<std::string> all = directories_;
  all.insert(durable_directories_.begin(), durable_directories_.end());
  std::set<std::string> left;
  for (const std::string& path : all) {  // one comes after the one that it is in
    const bool before = durable_directories_.count(path) > 0;
    const bool same = before == (directories_.count(path) > 0);
    const bool stays = same || random_() % 2 == 0 ? before : !before;
    const std::string parent = ParentOf(path);
    if (stays && (parent.empty() || left.count(parent) > 0)) left.insert(path);
  }
  return left;
}

void ForgetfulFileSystem::Crash() {
  MutexLock lock(mutex_);
  ++life_;
  cut_.reset();
  Names kept = durable_names_;
  std::set<std::string> paths;
  for (const Names* names : {&names_, &durable_names_}) {
    for (const auto& [path, file] : *names) paths.insert(path);
  }
  // Each name whose directory was not synced since is as it was, or as it became.
  for (const std::string& path : paths) {
    const auto now = names_.find(path);
    const auto before = durable_names_.find(path);
    const bool same =
        now != names_.end() && before != durable_names_.end() && now->second == before->second;
    if (same || random_() % 2 == 0) continue;
    if (now == names_.end()) {
      kept.erase(path);
    } else {
      kept[path] = now->second;
    }
  }
  names_.clear();
  directories_ = durable_directories_ = DirectoriesLeft();
  for (const auto& [path, file] : kept) {
    if (!HasDirectoryOf(path)) continue;
    // Of what was appended since the last sync the disk has got some; a cut was synced at once.
    auto survivor = std::make_shared<File>();
    survivor->bytes = file->durable;
    if (file->bytes.size() > file->durable.size()) {
      const size_t more = random_() % (file->bytes.size() - file->durable.size() + 1);
      survivor->bytes.append(file->bytes, file->durable.size(), more);
    }
    survivor->durable = survivor->bytes;
    names_[path] = std::move(survivor);
  }
  durable_names_ = names_;
}

absl::Status ForgetfulFileSystem::AppendTo(File& file, absl::string_view bytes, uint64_t life) {
  MutexLock lock(mutex_);
  if (life != life_) return absl::UnavailableError("opened before the crash");
  const absl::Status alive = Change();
  if (!alive.ok()) {
    if (cut_.has_value() && changes_ == *cut_) {
      file.bytes.append(bytes.data(), random_() % (bytes.size() + 1));
      ++changes_;
    }
    return alive;
  }
  const uint64_t used = Bytes();
  if (space_.has_value() && used + bytes.size() > *space_) {
    file.bytes.append(bytes.data(), *space_ - std::min(*space_, used));
    return absl::ResourceExhaustedError("no space left on the disk");
  }
  file.bytes.append(bytes.data(), bytes.size());
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::SyncFile(File& file, uint64_t life) {
  MutexLock lock(mutex_);
  syncs_go_on_.wait(mutex_,
                    [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !hold_syncs_; });
  if (life != life_) return absl::UnavailableError("opened before the crash");
  FLEET_RETURN_IF_ERROR(Change());
  if (fail_syncs_) return absl::DataLossError("the disk does not write");
  file.durable = file.bytes;
  ++syncs_;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<AppendFile>> ForgetfulFileSystem::Create(const std::string& path) {
  MutexLock lock(mutex_);
  if (names_.count(path) > 0) return absl::AlreadyExistsError(path);
  if (!HasDirectoryOf(path)) return NotThere(ParentOf(path));
  FLEET_RETURN_IF_ERROR(Change());
  auto file = std::make_shared<File>();
  names_[path] = file;
  return std::make_unique<Handle>(*this, std::move(file), life_);
}

absl::StatusOr<std::unique_ptr<AppendFile>> ForgetfulFileSystem::OpenToAppend(
    const std::string& path) {
  MutexLock lock(mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return NotThere(path);
  return std::make_unique<Handle>(*this, found->second, life_);
}

absl::StatusOr<std::string> ForgetfulFileSystem::Read(const std::string& path, uint64_t offset,
                                                      size_t bytes_max) {
  MutexLock lock(mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return NotThere(path);
  const std::string& bytes = found->second->bytes;
  if (offset >= bytes.size()) return std::string();
  if (!read_error_.ok() &&
      std::min<uint64_t>(offset + bytes_max, bytes.size()) > unreadable_from_) {
    return read_error_;
  }
  return bytes.substr(offset, bytes_max);
}

absl::Status ForgetfulFileSystem::Truncate(const std::string& path, uint64_t bytes) {
  MutexLock lock(mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return NotThere(path);
  FLEET_RETURN_IF_ERROR(Change());
  found->second->bytes.resize(bytes);
  found->second->durable = found->second->bytes;
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  const auto found = names_.find(from);
  if (found == names_.end()) return NotThere(from);
  FLEET_RETURN_IF_ERROR(Change());
  names_[to] = found->second;
  names_.erase(from);
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::Remove(const std::string& path) {
  MutexLock lock(mutex_);
  if (names_.count(path) == 0) return NotThere(path);
  FLEET_RETURN_IF_ERROR(Change());
  names_.erase(path);
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::MakeDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  if (directories_.count(path) > 0) return absl::AlreadyExistsError(path);
  if (!HasDirectoryOf(path)) return NotThere(ParentOf(path));
  FLEET_RETURN_IF_ERROR(Change());
  directories_.insert(path);
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::SyncDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  if (path != "/" && directories_.count(path) == 0) return NotThere(path);
  FLEET_RETURN_IF_ERROR(Change());
  if (fail_syncs_) return absl::DataLossError("the disk does not write");
  for (auto it = durable_names_.begin(); it != durable_names_.end();) {
    it = IsIn(it->first, path) ? durable_names_.erase(it) : std::next(it);
  }
  for (const auto& [name, file] : names_) {
    if (IsIn(name, path)) durable_names_[name] = file;
  }
  for (auto it = durable_directories_.begin(); it != durable_directories_.end();) {
    it = IsIn(*it, path) ? durable_directories_.erase(it) : std::next(it);
  }
  for (const std::string& directory : directories_) {
    if (IsIn(directory, path)) durable_directories_.insert(directory);
  }
  ++syncs_;
  return absl::OkStatus();
}

absl::Status ForgetfulFileSystem::RemoveDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  if (directories_.count(path) == 0) return NotThere(path);
  for (const auto& [name, file] : names_) {
    if (IsIn(name, path)) return absl::FailedPreconditionError(path + " is not empty");
  }
  FLEET_RETURN_IF_ERROR(Change());
  directories_.erase(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FileSystem::Entry>> ForgetfulFileSystem::List(const std::string& path) {
  MutexLock lock(mutex_);
  if (directories_.count(path) == 0) return NotThere(path);
  std::map<std::string, uint64_t> found;
  for (const auto& [name, file] : names_) {
    if (IsIn(name, path)) found[name.substr(path.size() + 1)] = file->bytes.size();
  }
  for (const std::string& directory : directories_) {
    if (IsIn(directory, path)) found[directory.substr(path.size() + 1)] = 0;
  }
  std::vector<Entry> entries;
  for (const auto& [name, bytes] : found) entries.push_back({name, bytes});
  return entries;
}

}  // namespace fleet::test
