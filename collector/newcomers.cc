#include "collector/newcomers.h"

#include <sys/stat.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace fleet::collector {

uint64_t InodeOf(int fd) {
  struct stat info = {};
  return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

std::string Newcomers::Key(absl::string_view host, uint16_t port) {
  return absl::StrCat(host, " ", port);
}

void Newcomers::Arrived(int fd, absl::string_view host, uint16_t port) {
  MutexLock lock(mutex_);
  // A number that is used again: its old socket is closed.
  const auto old = sockets_.find(fd);
  if (old != sockets_.end()) by_address_.erase(Key(old->second.host, old->second.port));
  sockets_[fd] = Socket{socket_of_(fd), std::string(host), port};
  by_address_[Key(host, port)] = fd;
}

void Newcomers::Proved(absl::string_view host, uint16_t port) {
  MutexLock lock(mutex_);
  const auto found = by_address_.find(Key(host, port));
  if (found == by_address_.end()) return;
  sockets_.erase(found->second);
  by_address_.erase(found);
}

std::vector<std::string> Newcomers::Hosts() {
  std::set<std::string> hosts;
  MutexLock lock(mutex_);
  for (auto at = sockets_.begin(); at != sockets_.end();) {
    const auto socket = at++;
    if (socket->second.id != 0 && socket_of_(socket->first) == socket->second.id) {
      hosts.insert(socket->second.host);
      continue;
    }
    by_address_.erase(Key(socket->second.host, socket->second.port));
    sockets_.erase(socket);
  }
  return {hosts.begin(), hosts.end()};
}

}  // namespace fleet::collector
