#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "agent/host_fs.h"

namespace fleet::test {

/// A directory of its own below the system's temporary one, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  /// `name` inside it.
  std::string operator/(absl::string_view name) const;

 private:
  std::string path_;
};

/// A fixture host with just the files a test needs.
class TempHost {
 public:
  /// Writes `text` to `path` ("proc/meminfo"), making its directories.
  TempHost& Write(absl::string_view path, absl::string_view text);
  TempHost& Link(absl::string_view path, absl::string_view target);
  TempHost& Remove(absl::string_view path);

  agent::HostFs fs() const { return agent::HostFs(dir_.path()); }
  const std::string& root() const { return dir_.path(); }

 private:
  TempDir dir_;
};

/// The text of a file below tests/fixtures. Aborts when it is not there.
std::string Fixture(absl::string_view path);

}  // namespace fleet::test
