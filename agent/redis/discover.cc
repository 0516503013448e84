#include "agent/redis/discover.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/listening.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr uint16_t kDefaultPort = 6379;
constexpr size_t kTitleBytesMax = 128 << 10;
constexpr size_t kServersMax = 32;

/// What the titles of all Redis processes name.
std::set<std::string> TitleAddresses(const HostFs& fs) {
  std::set<std::string> addresses;
  const auto names = fs.List("proc");
  if (!names.ok()) return addresses;
  for (const std::string& pid : *names) {
    if (pid.empty() || pid[0] < '0' || pid[0] > '9') continue;
    // The short name first: reading a command line may fault in a page of a swapped-out process.
    const auto name = fs.ReadTrimmed(absl::StrCat("proc/", pid, "/comm"));
    if (!name.ok() || (!absl::StrContains(*name, "redis") && !absl::StrContains(*name, "valkey"))) {
      continue;
    }
    const auto title = fs.Read(absl::StrCat("proc/", pid, "/cmdline"), kTitleBytesMax);
    if (!title.ok()) continue;  // it ended meanwhile, or is not ours to see
    if (std::string address = RedisTitleAddress(*title); !address.empty()) {
      addresses.insert(std::move(address));
    }
  }
  return addresses;
}

/// The smaller, the rather we connect to this address of several with one port.
int Preference(const TcpListener& listener) {
  if (absl::StartsWith(listener.address, "127.") || listener.address == "0.0.0.0") return 0;
  if (listener.address == "::1" || listener.address == "::") return 1;
  return 2;
}

bool NamedLikeRedis(absl::string_view path) {
  const absl::string_view file = path.substr(path.rfind('/') + 1);
  return (absl::StrContains(file, "redis") || absl::StrContains(file, "valkey")) &&
         !absl::StrContains(file, "sentinel");
}

}  // namespace

std::string RedisTitleAddress(absl::string_view title) {
  // Padded with NULs where it was longer before.
  title = title.substr(0, title.find('\0'));
  const size_t blank = title.find(' ');
  const absl::string_view program = title.substr(0, blank);
  if (blank == absl::string_view::npos ||
      (!absl::EndsWith(program, "redis-server") && !absl::EndsWith(program, "valkey-server"))) {
    return "";
  }
  if (absl::StrContains(title, "[sentinel]")) return "";
  absl::string_view address = title.substr(blank + 1);
  address = address.substr(0, address.find(' '));
  if (absl::ConsumePrefix(&address, "unixsocket:")) return std::string(address);
  const absl::string_view port = address.substr(address.rfind(':') + 1);
  uint32_t number = 0;
  if (!absl::StrContains(address, ':') || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return "";
  }
  return std::string(port);
}

absl::StatusOr<std::vector<RedisServer>> FindRedisServers(const HostFs& fs) {
  FLEET_ASSIGN_OR_RETURN(const Listening listening, ListeningPorts(fs));
  const std::set<std::string> titles = TitleAddresses(fs);
  std::map<uint16_t, TcpListener> by_port;
  for (const TcpListener& listener : listening.tcp) {
    if (listener.port != kDefaultPort && titles.count(absl::StrCat(listener.port)) == 0) continue;
    const auto [found, is_new] = by_port.emplace(listener.port, listener);
    if (!is_new && Preference(listener) < Preference(found->second)) found->second = listener;
  }
  std::vector<RedisServer> servers;
  for (const auto& [port, listener] : by_port) {
    servers.emplace_back().address = DialHostPort(listener);
  }
  // A server with a TCP port is asked there; its socket would show it twice.
  for (const std::string& path : listening.unix_paths) {
    if (titles.count(path) > 0 || (by_port.empty() && NamedLikeRedis(path))) {
      servers.emplace_back().address = path;
    }
  }
  if (servers.size() > kServersMax) servers.resize(kServersMax);
  return servers;
}

const std::string& RedisServerName(const RedisServer& server) {
  return server.name.empty() ? server.address : server.name;
}

}  // namespace fleet::agent
