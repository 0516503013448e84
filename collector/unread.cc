#include "collector/unread.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fleet::collector {
namespace {

std::string KeyOf(absl::string_view host, uint16_t port) { return absl::StrCat(host, " ", port); }

}  // namespace

uint64_t BytesReceived(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

void UnreadWatch::Forget(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  const auto key = by_key_.find(found->second.key);
  if (key != by_key_.end() && key->second == fd) by_key_.erase(key);
  connections_.erase(found);
}

void UnreadWatch::Arrived(int fd, absl::string_view host, uint16_t port,
                          const std::string& address) {
  MutexLock lock(mutex_);
  Forget(fd);
  Connection connection;
  connection.key = KeyOf(host, port);
  connection.address = address;
  connection.meter = std::make_shared<ReadMeter>();
  by_key_[connection.key] = fd;
  connections_.emplace(fd, std::move(connection));
}

std::shared_ptr<ReadMeter> UnreadWatch::MeterOf(absl::string_view host, uint16_t port) const {
  {
    MutexLock lock(mutex_);
    const auto found = by_key_.find(KeyOf(host, port));
    if (found != by_key_.end()) return connections_.at(found->second).meter;
  }
  return std::make_shared<ReadMeter>();
}

std::vector<UnreadWatch::Excess> UnreadWatch::Look() {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  const double seconds = looked_ == SteadyTime() ? 0.0 : absl::ToDoubleSeconds(now - looked_);
  looked_ = now;
  const auto free = static_cast<uint64_t>(seconds * static_cast<double>(limits_.per_second));
  absl::flat_hash_map<std::string, uint64_t> by_address;
  std::vector<std::pair<uint64_t, int>> most;
  std::vector<int> closed;
  for (auto& [fd, connection] : connections_) {
    // What is read was received before.
    const uint64_t read = connection.meter->bytes();
    const uint64_t received = bytes_of_(fd);
    if (received < connection.received) {  // another socket, or none
      closed.push_back(fd);
      continue;
    }
    const uint64_t come = connection.unread + (received - connection.received);
    connection.unread = come - std::min(come, (read - connection.read) + free);
    connection.received = received;
    connection.read = read;
    by_address[connection.address] += connection.unread;
    if (connection.unread > limits_.connection / 8) most.emplace_back(connection.unread, fd);
  }
  for (const int fd : closed) Forget(fd);
  std::vector<Excess> excess;
  std::sort(most.rbegin(), most.rend());
  for (const auto& [unread, fd] : most) {
    const std::string address = connections_.at(fd).address;
    uint64_t& all = by_address[address];
    if (unread <= limits_.connection && all <= limits_.address) continue;
    all -= unread;
    Forget(fd);
    excess.push_back({fd, address});
  }
  return excess;
}

size_t UnreadWatch::size() const {
  MutexLock lock(mutex_);
  return connections_.size();
}

}  // namespace fleet::collector
