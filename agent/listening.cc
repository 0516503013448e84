#include "agent/listening.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// Whether some complete line of `text` from `begin` on is a socket in another state than LISTEN.
bool PastListening(absl::string_view text) {
  for (size_t end = text.find('\n'); end != absl::string_view::npos; end = text.find('\n')) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(text.substr(0, end), absl::MaxSplits(' ', 8), absl::SkipEmpty());
    if (fields.size() > 3 && fields[3].size() == 2 && fields[3] != "st" && fields[3] != "0A") {
      return true;
    }
    text.remove_prefix(end + 1);
  }
  return false;
}

/// The start of /proc/net/tcp{,6} up to a socket that does not listen; whole lines only.
absl::StatusOr<std::string> ReadListeners(const HostFs& fs, absl::string_view path) {
  const std::string full = fs.Path(path);
  const ScopedFd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", full));
  std::string text;
  size_t checked = 0;  // start of the last line not yet looked at
  while (true) {
    char buffer[8192];
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", full));
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (PastListening(absl::string_view(text).substr(checked))) {
      text.resize(text.rfind('\n') + 1);
      break;
    }
    const size_t last = text.rfind('\n');
    if (last != std::string::npos) checked = last + 1;
    if (text.size() > HostFs::kReadBytesMax) {
      return absl::ResourceExhaustedError(absl::StrCat("read ", full, ": too many listeners"));
    }
  }
  return text;
}

}  // namespace

absl::StatusOr<Listening> ListeningPorts(const HostFs& fs) {
  Listening listening;
  for (const absl::string_view path : {"proc/net/tcp", "proc/net/tcp6"}) {
    const auto text = ReadListeners(fs, path);
    if (absl::IsNotFound(text.status())) continue;
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(std::vector<TcpListener> found, ParseNetTcp(*text));
    std::move(found.begin(), found.end(), std::back_inserter(listening.tcp));
  }
  const auto text = fs.Read("proc/net/unix", 64 << 20);
  if (!absl::IsNotFound(text.status())) {
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(listening.unix_paths, ParseNetUnix(*text));
  }
  const auto key = [](const TcpListener& l) { return std::tie(l.port, l.address); };
  std::sort(listening.tcp.begin(), listening.tcp.end(),
            [&key](const TcpListener& a, const TcpListener& b) { return key(a) < key(b); });
  listening.tcp.erase(std::unique(listening.tcp.begin(), listening.tcp.end()),
                      listening.tcp.end());  // SO_REUSEPORT: one line per process
  std::sort(listening.unix_paths.begin(), listening.unix_paths.end());
  listening.unix_paths.erase(std::unique(listening.unix_paths.begin(), listening.unix_paths.end()),
                             listening.unix_paths.end());
  return listening;
}

std::string DialAddress(const TcpListener& listener) {
  if (listener.address == "0.0.0.0") return "127.0.0.1";
  if (listener.address == "::") return "::1";
  return listener.address;
}

std::string DialHostPort(const TcpListener& listener) {
  const std::string address = DialAddress(listener);
  return absl::StrContains(address, ':') ? absl::StrCat("[", address, "]:", listener.port)
                                         : absl::StrCat(address, ":", listener.port);
}

}  // namespace fleet::agent
