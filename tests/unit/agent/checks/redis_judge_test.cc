#include "agent/checks/redis_judge.h"

#include "absl/strings/str_replace.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::Fixture;
using ::testing::AllOf;
using ::testing::HasSubstr;

RedisInfo Info(
    absl::string_view file,
    std::initializer_list<std::pair<const absl::string_view, absl::string_view>> edits = {}) {
  std::string text = Fixture(absl::StrCat("redis/info-7.0.15-", file, ".txt"));
  for (const auto& [name, value] : edits) {
    const size_t begin = text.find(absl::StrCat("\n", name, ":"));
    if (begin == std::string::npos) {
      absl::StrAppend(&text, "\n", name, ":", value, "\n");
    } else {
      text.replace(begin, text.find('\n', begin + 1) - begin, absl::StrCat("\n", name, ":", value));
    }
  }
  return *ParseRedisInfo(text);
}

std::string Judge(const RedisInfo& info, const RedisFacts& facts = {}) {
  RedisHistory history;
  const RedisJudgement result = JudgeRedis(info, facts, RedisOptions(), SteadyTime(), history);
  return absl::StrCat(VerdictName(result.verdict), " ", result.reason);
}

// A server that is all right, for changes to start from.
RedisInfo Healthy(
    std::initializer_list<std::pair<const absl::string_view, absl::string_view>> edits) {
  RedisInfo info = Info("primary", edits);
  return info;
}

TEST(JudgeRedisTest, AReplicaStillSyncingIsAWarningOnThePrimary) {
  EXPECT_EQ(Judge(Info("primary")), "warn replica 127.0.0.1:7202 is not in sync (wait_bgsave)");
  EXPECT_EQ(Judge(Healthy({{"slave0", "ip=1.2.3.4,port=1,state=online,offset=1,lag=1"}})),
            "ok Redis 7.0.15, 1.4 MiB of 8.0 MiB, 1 client");
  EXPECT_EQ(Judge(Healthy({{"slave0", "ip=1.2.3.4,port=1,state=online,offset=1,lag=42"}})),
            "warn replica 1.2.3.4:1 silent for 42 s");
}

TEST(JudgeRedisTest, AReplicaWithoutLinkIsCrit) {
  EXPECT_EQ(Judge(Info("replica")), "crit replica: link to primary 127.0.0.1:7201 down");
  EXPECT_EQ(Judge(Info("replica", {{"master_sync_in_progress", "1"}})),
            "warn full sync from 127.0.0.1:7201 running");
  EXPECT_EQ(
      Judge(Info("replica", {{"master_link_status", "up"}, {"master_last_io_seconds_ago", "45"}})),
      "warn replica: primary 127.0.0.1:7201 silent for 45 s");
}

constexpr std::pair<const absl::string_view, absl::string_view> kNoReplica = {"slave0",
                                                                              "ip=a,state=online"};

TEST(JudgeRedisTest, FullMemoryMeansWhatThePolicyMakesOfIt) {
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"used_memory", "8388608"}})), HasSubstr("ok "));
  EXPECT_EQ(
      Judge(Healthy({kNoReplica, {"used_memory", "8388608"}, {"maxmemory_policy", "noeviction"}})),
      "crit memory 100.0 % of 8.0 MiB used, writes fail (OOM) under policy noeviction");
  EXPECT_THAT(
      Judge(Healthy({kNoReplica, {"used_memory", "7340032"}, {"maxmemory_policy", "noeviction"}})),
      HasSubstr("warn memory 87.5 % of 8.0 MiB used, writes fail when full"));
  EXPECT_THAT(Judge(Healthy({kNoReplica,
                             {"used_memory", "8388608"},
                             {"mem_not_counted_for_evict", "4194304"},
                             {"maxmemory_policy", "noeviction"}})),
              HasSubstr("ok "));
  RedisFacts facts;
  facts.sidekiq_lives_here = true;
  EXPECT_THAT(Judge(Healthy({kNoReplica}), facts),
              HasSubstr("warn maxmemory-policy is allkeys-lru"));
}

TEST(JudgeRedisTest, PersistenceErrorsAreCrit) {
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"rdb_last_bgsave_status", "err"}})),
              HasSubstr("crit last RDB save failed, last good one 2.3 s ago"));
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"aof_last_write_status", "err"}})), HasSubstr("ok "));
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"aof_enabled", "1"}, {"aof_last_write_status", "err"}})),
              HasSubstr("crit last write to the append-only file failed"));
  EXPECT_THAT(
      Judge(Healthy({kNoReplica, {"aof_enabled", "1"}, {"aof_last_bgrewrite_status", "err"}})),
      HasSubstr("crit last rewrite"));
}

TEST(JudgeRedisTest, LoadingIsCritWithProgress) {
  EXPECT_THAT(Judge(Healthy({kNoReplica,
                             {"loading", "1"},
                             {"loading_loaded_perc", "45.10"},
                             {"loading_eta_seconds", "12"}})),
              HasSubstr("crit loading its dataset, 45 %, 12 s to go"));
}

TEST(JudgeRedisTest, ClientsNearTheLimitAndSlowAnswers) {
  RedisFacts facts;
  facts.maxclients = 100;
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"connected_clients", "79"}}), facts), HasSubstr("ok "));
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"connected_clients", "80"}}), facts),
              HasSubstr("warn 80 of 100 clients"));
  EXPECT_THAT(Judge(Healthy({kNoReplica, {"connected_clients", "95"}}), facts),
              HasSubstr("crit 95 of 100 clients"));
  facts.ping = absl::Milliseconds(250);
  EXPECT_THAT(Judge(Healthy({kNoReplica}), facts), HasSubstr("warn answers PING in 250 ms"));
}

TEST(JudgeRedisTest, GrowingCountersAreNewsForAWhile) {
  RedisHistory history;
  const SteadyTime start;
  const auto judge = [&](absl::string_view errors, absl::string_view rejected, absl::Duration at) {
    const RedisInfo info =
        Healthy({kNoReplica, {"errorstat_OOM", errors}, {"rejected_connections", rejected}});
    const auto result = JudgeRedis(info, {}, RedisOptions(), SteadyAfter(start, at), history);
    return absl::StrCat(VerdictName(result.verdict), " ", result.reason);
  };
  EXPECT_THAT(judge("count=7", "3", absl::Seconds(0)), HasSubstr("ok "));
  EXPECT_EQ(judge("count=9", "4", absl::Seconds(10)),
            "crit 2 writes refused with OOM in the last minutes; 1 connection rejected in the last "
            "minutes (maxclients)");
  EXPECT_THAT(judge("count=9", "4", absl::Minutes(4)), HasSubstr("crit 2 writes"));
  EXPECT_THAT(judge("count=9", "4", absl::Minutes(6)), HasSubstr("ok "));
  EXPECT_THAT(judge("count=0", "0", absl::Minutes(7)), HasSubstr("ok "));  // restarted
}

}  // namespace
}  // namespace fleet::agent
