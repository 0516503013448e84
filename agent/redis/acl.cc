#include "agent/redis/acl.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

/// Letters, digits and "-_.:" only: no blank ends a word, no '*' widens a pattern.
bool IsPlain(absl::string_view text) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == ':';
    if (!plain) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> RedisAclLine(const RedisAclOptions& options) {
  const std::vector<absl::string_view> parts = absl::StrSplit(options.version, '.');
  int major = 0;
  int minor = 0;
  if (!absl::SimpleAtoi(parts[0], &major) ||
      (parts.size() > 1 && !absl::SimpleAtoi(parts[1], &minor))) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a version like 6.2, got ", Quote(options.version)));
  }
  if (major < 6) {
    return absl::InvalidArgumentError(
        absl::StrCat("Redis ", options.version,
                     " has no users: set checks.redis.password_file to its requirepass"));
  }
  if (options.user.empty() || !IsPlain(options.user)) {
    return absl::InvalidArgumentError(absl::StrCat("not a user name: ", Quote(options.user)));
  }
  if (!IsPlain(options.name_space)) {
    return absl::InvalidArgumentError(absl::StrCat("not a namespace: ", Quote(options.name_space)));
  }

  std::vector<std::string> words = {"ACL", "SETUSER", options.user, "on", ">PASSWORD", "resetkeys"};
  if (major >= 7 || minor >= 2) words.emplace_back("resetchannels");
  for (const char* word : {"-@all", "+ping", "+info", "+time", "+auth", "+hello", "+select",
                           "+client|setname", "+slowlog|len", "+latency|latest", "+exists"}) {
    words.emplace_back(word);
  }
  // Reading a job's age without its arguments takes a script: eval_ro where there is one.
  if (options.sidekiq) {
    for (const char* word : {"+llen", "+lindex", "+scard", "+smembers", "+zcard", "+zcount",
                             "+mget", "+hmget", "+pttl", major >= 7 ? "+eval_ro" : "+eval"}) {
      words.emplace_back(word);
    }
  }
  // The redis check, too, looks whether Sidekiq lives there: eviction would lose its jobs.
  const std::string key_space = options.name_space.empty() ? "" : options.name_space + ":";
  for (const char* pattern : {"queue:*", "queues", "retry", "schedule", "dead", "processes",
                              "stat:*", "paused", "*:*:*"}) {
    const bool wanted = options.sidekiq || absl::string_view(pattern) == "queues";
    if (wanted) words.push_back(absl::StrCat(major >= 7 ? "%R~" : "~", key_space, pattern));
  }
  return absl::StrJoin(words, " ");
}

}  // namespace fleet::agent
