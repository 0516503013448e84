#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/file_system.h"
#include "common/status_macros.h"

namespace fleet::collector {

/// Files open for appending, at most kOpenMax of them: the ones used last. Not thread-safe.
class OpenFiles {
 public:
  static constexpr size_t kOpenMax = 128;

  explicit OpenFiles(FileSystem& files) : files_(files) {}

  /// `path`, opened when it is not; valid until the next call. Errors: by errno.
  absl::StatusOr<AppendFile*> Get(const std::string& path) {
    const auto found = places_.find(path);
    if (found != places_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second.get();
    }
    FLEET_ASSIGN_OR_RETURN(std::unique_ptr<AppendFile> file, files_.OpenToAppend(path));
    return Put(path, std::move(file));
  }
  AppendFile* Put(const std::string& path, std::unique_ptr<AppendFile> file) {
    Close(path);
    if (recent_.size() >= kOpenMax) Close(std::string(recent_.back().first));
    recent_.emplace_front(path, std::move(file));
    places_[path] = recent_.begin();
    return recent_.front().second.get();
  }
  void Close(const std::string& path) {
    const auto found = places_.find(path);
    if (found == places_.end()) return;
    recent_.erase(found->second);
    places_.erase(found);
  }

 private:
  using List = std::list<std::pair<std::string, std::unique_ptr<AppendFile>>>;

  FileSystem& files_;
  List recent_;
  absl::flat_hash_map<std::string, List::iterator> places_;
};

}  // namespace fleet::collector
