#include "absl/strings/match.h"
#include "agent/redis/acl.h"
#include "agent/redis/client.h"
#include "agent/redis/discover.h"
#include "agent/redis/sidekiq_process.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::fleet::test::TempHost;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RedisErrorStatusTest, KnowsEveryPrefix) {
  const std::pair<const char*, absl::StatusCode> cases[] = {
      {"NOAUTH Authentication required.", absl::StatusCode::kPermissionDenied},
      {"WRONGPASS invalid username-password pair", absl::StatusCode::kPermissionDenied},
      {"ERR invalid password", absl::StatusCode::kPermissionDenied},
      {"NOPERM this user has no permissions to run the 'scan' command",
       absl::StatusCode::kPermissionDenied},
      {"DENIED Redis is running in protected mode", absl::StatusCode::kPermissionDenied},
      {"MISCONF Redis is configured to save RDB snapshots", absl::StatusCode::kFailedPrecondition},
      {"OOM command not allowed when used memory > 'maxmemory'.",
       absl::StatusCode::kResourceExhausted},
      {"ERR max number of clients reached", absl::StatusCode::kResourceExhausted},
      {"LOADING Redis is loading the dataset in memory", absl::StatusCode::kUnavailable},
      {"MASTERDOWN Link with MASTER is down", absl::StatusCode::kUnavailable},
      {"BUSY Redis is busy running a script", absl::StatusCode::kUnavailable},
      {"ERR unknown command 'foo'", absl::StatusCode::kInternal},
      {"", absl::StatusCode::kInternal},
  };
  for (const auto& [error, code] : cases) {
    SCOPED_TRACE(error);
    EXPECT_THAT(RedisErrorStatus(error), HasCode(code));
  }
}

TEST(RedisTitleAddressTest, ReadsProcessTitles) {
  EXPECT_EQ(RedisTitleAddress("/usr/bin/redis-server 127.0.0.1:6380"), "6380");
  EXPECT_EQ(RedisTitleAddress("redis-server *:6379 [cluster]"), "6379");
  EXPECT_EQ(RedisTitleAddress("valkey-server ::1:6381"), "6381");
  EXPECT_EQ(RedisTitleAddress("redis-server unixsocket:/run/redis.sock"), "/run/redis.sock");
  EXPECT_EQ(RedisTitleAddress(absl::string_view("redis-server *:6379\0\0\0", 22)), "6379");
  for (const char* title : {"", "redis-server", "redis-sentinel *:26379 [sentinel]",
                            "redis-server *:26379 [sentinel]", "vi redis-server", "redis-server x",
                            "redis-server /etc/redis/redis.conf", "redis-server *:99999"}) {
    SCOPED_TRACE(title);
    EXPECT_EQ(RedisTitleAddress(title), "");
  }
}

std::string Listener(absl::string_view local) {
  return absl::StrCat("0: ", local, " 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n");
}

TEST(FindRedisServersTest, TakesOneAddressPerPort) {
  TempHost host;
  host.Write("proc/net/tcp", absl::StrCat(Listener("0400EB0A:18EB"), Listener("0100007F:18EB"),
                                          Listener("0400EB0A:18EC"), Listener("0100007F:1F90")))
      .Write("proc/net/unix", "0: 00000002 00000000 00010000 0001 01 4 /run/redis/redis.sock\n")
      .Write("proc/17/comm", "redis-server\n")
      .Write("proc/17/cmdline", "/usr/bin/redis-server 10.235.0.4:6380")
      .Write("proc/18/comm", "bash\n");
  const auto servers = FindRedisServers(host.fs());
  ASSERT_THAT(servers, IsOk());
  std::vector<std::string> addresses;
  for (const RedisServer& server : *servers) addresses.push_back(server.address);
  EXPECT_THAT(addresses, ElementsAre("127.0.0.1:6379", "10.235.0.4:6380"));
}

TEST(FindRedisServersTest, AsksTheSocketWhereThereIsNoPort) {
  TempHost host;
  host.Write("proc/net/unix",
             "0: 00000002 00000000 00010000 0001 01 4 /run/redis/redis-server.sock\n"
             "0: 00000002 00000000 00010000 0001 01 4 /run/redis/sentinel-redis.sock\n"
             "0: 00000002 00000000 00010000 0001 01 4 /run/dbus/socket\n");
  const auto servers = FindRedisServers(host.fs());
  ASSERT_THAT(servers, IsOk());
  ASSERT_EQ(servers->size(), 1);
  EXPECT_EQ(servers->front().address, "/run/redis/redis-server.sock");
}

TEST(RedisAclLineTest, DiffersByVersion) {
  const auto seven = RedisAclLine({});
  ASSERT_THAT(seven, IsOk());
  EXPECT_THAT(*seven, HasSubstr("ACL SETUSER fleet on >PASSWORD resetkeys resetchannels -@all"));
  EXPECT_THAT(*seven, HasSubstr("+eval_ro %R~queue:* %R~queues"));
  const auto six = RedisAclLine(
      {.user = "watch", .version = "6.2.7", .name_space = "mastodon", .sidekiq = true});
  ASSERT_THAT(six, IsOk());
  EXPECT_THAT(*six, HasSubstr("SETUSER watch on >PASSWORD resetkeys resetchannels"));
  EXPECT_THAT(*six, HasSubstr("+eval ~mastodon:queue:* ~mastodon:queues"));
  const auto six_zero =
      RedisAclLine({.user = "fleet", .version = "6.0.16", .name_space = "", .sidekiq = false});
  ASSERT_THAT(six_zero, IsOk());
  EXPECT_FALSE(absl::StrContains(*six_zero, "resetchannels"));
  EXPECT_FALSE(absl::StrContains(*six_zero, "eval"));
}

TEST(RedisAclLineTest, RejectsWhatTheServerWouldMisread) {
  EXPECT_THAT(RedisAclLine({.user = "fleet", .version = "5.0", .name_space = "", .sidekiq = true}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no users")));
  for (const char* version : {"", "seven", "7.x"}) {
    SCOPED_TRACE(version);
    EXPECT_THAT(
        RedisAclLine({.user = "fleet", .version = version, .name_space = "", .sidekiq = true}),
        HasCode(absl::StatusCode::kInvalidArgument));
  }
  for (const char* bad : {"a b", "*", "a\n+@all", "a>b"}) {
    SCOPED_TRACE(bad);
    EXPECT_THAT(RedisAclLine({.user = bad, .version = "7", .name_space = "", .sidekiq = true}),
                HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(RedisAclLine({.user = "fleet", .version = "7", .name_space = bad, .sidekiq = true}),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseSidekiqInfoTest, ReadsEveryVersion) {
  const auto six =
      ParseSidekiqInfo(R"({"hostname":"vm","started_at":1.5,"pid":1,"tag":"","concurrency":4,)"
                       R"("queues":["default","push","default"],"labels":[],"identity":"vm:1:c"})");
  ASSERT_THAT(six, IsOk());
  EXPECT_EQ(six->hostname, "vm");
  EXPECT_EQ(six->version, "");
  EXPECT_EQ(six->concurrency, 4);
  EXPECT_THAT(six->queues, ElementsAre("default", "push"));
  const auto eight = ParseSidekiqInfo(
      R"({"hostname":"vm","queues":["default"],"version":"8.1.7","capsules":{)"
      R"("default":{"concurrency":5,"mode":"weighted","weights":{"default":8,"push":6}},)"
      R"("single":{"concurrency":1,"mode":"strict","weights":{"mail":0}}}})");
  ASSERT_THAT(eight, IsOk());
  EXPECT_EQ(eight->version, "8.1.7");
  EXPECT_EQ(eight->concurrency, 6);
  EXPECT_THAT(eight->queues, ElementsAre("default", "push", "mail"));
}

TEST(ParseSidekiqInfoTest, RejectsMalformedText) {
  for (const char* json :
       {"", "{", "[]", "null", "{}", R"({"queues":[]})", R"({"queues":"default"})",
        R"({"queues":[1]})", R"({"queues":["a"],"concurrency":"5"})",
        R"({"queues":["a"],"concurrency":-1})", R"({"queues":["a"],"hostname":1})",
        R"({"queues":["a"],"capsules":[]})", R"({"queues":["a"],"capsules":{"x":1}})",
        R"({"queues":["a"],"capsules":{"x":{"weights":["a"]}}})"}) {
    SCOPED_TRACE(json);
    EXPECT_THAT(ParseSidekiqInfo(json), HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParseSidekiqInfo(std::string(100'000, ' ')),
              HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
