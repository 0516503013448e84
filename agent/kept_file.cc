#include "agent/kept_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kFirstBytes = 4096;
/// For a sysctl the kernel clears as much memory as is asked for, so ask for little more than came
/// the last time.
constexpr size_t kSpareBytes = 64;

}  // namespace

KeptFile::KeptFile(HostFs fs, std::string path, Records records)
    : fs_(std::move(fs)),
      path_(std::move(path)),
      records_(records),
      keep_(fs_.live() && (absl::StartsWith(path_, "proc/") || absl::StartsWith(path_, "sys/"))) {}

absl::Status KeptFile::Open() {
  const std::string full = fs_.Path(path_);
  fd_ = ScopedFd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", full));
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> KeptFile::Read() {
  if (keep_ && fd_.valid()) {
    absl::StatusOr<absl::string_view> text = ReadOpen();
    if (text.ok() && !text->empty()) return text;
  }
  FLEET_RETURN_IF_ERROR(Open());
  absl::StatusOr<absl::string_view> text = ReadOpen();
  if (!keep_ || !text.ok()) fd_.Reset();
  return text;
}

absl::StatusOr<absl::string_view> KeptFile::ReadOpen() {
  size_t used = 0;
  while (true) {
    if (used == buffer_.size()) buffer_.resize(std::max(kFirstBytes, used * 2));
    const size_t room = buffer_.size() - used;
    const ssize_t got = ::pread(fd_.get(), buffer_.data() + used, room, static_cast<off_t>(used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", fs_.Path(path_)));
    used += static_cast<size_t>(got);
    if (got == 0 || (records_ == Records::kOne && keep_ && static_cast<size_t>(got) < room)) break;
    if (used > HostFs::kReadBytesMax) {
      buffer_ = std::string();
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", fs_.Path(path_), ": more than ", HostFs::kReadBytesMax, " bytes"));
    }
  }
  const size_t next = used + used / 4 + kSpareBytes;
  if (buffer_.size() > next) {
    buffer_.resize(next);
    if (buffer_.capacity() > 2 * next) buffer_.shrink_to_fit();
  }
  return absl::string_view(buffer_).substr(0, used);
}

bool KeptFile::MayHaveChanged() {
  if (!keep_ || !fd_.valid()) return true;
  pollfd event = {.fd = fd_.get(), .events = POLLPRI, .revents = 0};
  return ::poll(&event, 1, 0) != 0;
}

absl::StatusOr<absl::string_view> KeptFile::ReadTrimmed() {
  FLEET_ASSIGN_OR_RETURN(const absl::string_view text, Read());
  return absl::StripAsciiWhitespace(text);
}

}  // namespace fleet::agent
