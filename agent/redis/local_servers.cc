#include "agent/redis/local_servers.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/redis/discover.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kLookAgain = absl::Minutes(1);
constexpr absl::Duration kLookForMore = absl::Minutes(5);
constexpr absl::string_view kMemoryKey = "servers";
constexpr size_t kServersMax = 32;

std::set<std::string> Remembered(CheckRun& run) {
  const std::string* addresses = run.memory().Find(kMemoryKey);
  if (addresses == nullptr) return {};
  return absl::StrSplit(*addresses, '\n', absl::SkipEmpty());
}

}  // namespace

absl::StatusOr<std::vector<RedisServer>> LocalRedisServers::Servers(CheckRun& run) {
  if (!configured_.empty()) return configured_;
  if (!fs_.live()) return std::vector<RedisServer>();
  const absl::Duration patience = found_.empty() ? kLookAgain : kLookForMore;
  if (looked_ && run.steady_now() - *looked_ < patience) return found_;

  const auto here = FindRedisServers(fs_);
  std::vector<RedisServer> servers = here.ok() ? *here : std::vector<RedisServer>();
  for (const std::string& address : Remembered(run)) {
    const auto same = [&address](const RedisServer& server) { return server.address == address; };
    if (servers.size() == kServersMax || std::any_of(servers.begin(), servers.end(), same))
      continue;
    servers.emplace_back().address = address;
  }
  if (servers.empty() && !here.ok()) return here.status();
  looked_ = run.steady_now();
  found_ = std::move(servers);
  std::sort(found_.begin(), found_.end(),
            [](const RedisServer& a, const RedisServer& b) { return a.address < b.address; });
  return found_;
}

bool LocalRedisServers::Expects(CheckRun& run, const RedisServer& server) const {
  return !configured_.empty() || Remembered(run).count(server.address) > 0;
}

void LocalRedisServers::Remember(CheckRun& run, const RedisServer& server) {
  if (Expects(run, server)) return;
  std::set<std::string> addresses = Remembered(run);
  addresses.insert(server.address);
  run.memory().Set(kMemoryKey, absl::StrJoin(addresses, "\n"));
}

void LocalRedisServers::Drop(const RedisServer& server) {
  found_.erase(std::remove_if(
                   found_.begin(), found_.end(),
                   [&server](const RedisServer& found) { return found.address == server.address; }),
               found_.end());
}

}  // namespace fleet::agent
