#include "tests/support/sidekiq_recording.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fleet::test {

std::vector<agent::RedisCommand> RestoreSidekiq(absl::string_view recording) {
  std::vector<agent::RedisCommand> commands;
  for (absl::string_view block : absl::StrSplit(absl::StrCat("\n", recording), "\n## ")) {
    std::vector<std::string> lines = absl::StrSplit(absl::StripSuffix(block, "\n"), '\n');
    const std::vector<std::string> heading = absl::StrSplit(lines[0], " type=");
    if (heading.size() != 2) continue;
    const std::string& key = heading[0];
    if (absl::StartsWith(heading[1], "set ")) {
      for (size_t i = 1; i < lines.size(); ++i) commands.push_back({"SADD", key, lines[i]});
    } else if (absl::StartsWith(heading[1], "string ")) {
      if (lines.size() > 1) commands.push_back({"SET", key, lines[1]});
    } else if (absl::StartsWith(heading[1], "hash ")) {
      for (size_t i = 1; i + 1 < lines.size(); i += 2) {
        commands.push_back({"HSET", key, lines[i], lines[i + 1]});
      }
      commands.push_back({"EXPIRE", key, "57"});
    } else if (absl::StartsWith(heading[1], "list ")) {
      int jobs = 0;
      if (absl::SimpleAtoi(absl::StripPrefix(lines[1], "LLEN "), &jobs)) {
        for (int i = 0; i < jobs; ++i) commands.push_back({"LPUSH", key, lines[2]});
      }
    } else if (absl::StartsWith(heading[1], "zset ")) {
      commands.push_back({"ZADD", key, lines[3], lines[2]});
    }
  }
  return commands;
}

}  // namespace fleet::test
