#include <csignal>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "agent/checks/checks.h"
#include "agent/redis/acl.h"
#include "agent/redis/discover.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/redis_server.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::FakeServer;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::fleet::test::TempDir;
using ::fleet::test::TestRedis;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

class RedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!TestRedis::Installed()) GTEST_SKIP() << "redis-server is not installed";
  }

  /// Points the check at `address` alone.
  void Watch(std::string address, std::string user = "", std::string password_file = "") {
    runner_.options().redis.servers = {{.name = "",
                                        .address = std::move(address),
                                        .user = std::move(user),
                                        .password_file = std::move(password_file)}};
    check_ = MakeRedisCheck(runner_.env());
  }
  CheckResult Run() { return runner_.Run(*check_); }
  std::string Item() { return absl::StrJoin(Run().items(), "\n"); }

  CheckRunner runner_{HostFs()};
  std::unique_ptr<Check> check_;
};

TEST_F(RedisTest, ReportsAHealthyServerOverTcpAndUnixSocket) {
  TestRedis redis;
  redis.DoAll({{"SET", "a", "1"}, {"SET", "b", "1", "EX", "1000"}, {"GET", "a"}, {"NOSUCH"}});
  for (const std::string& address : {redis.address(), redis.socket()}) {
    SCOPED_TRACE(address);
    Watch(address);
    const CheckResult result = Run();
    ASSERT_THAT(result.status, IsOk());
    EXPECT_THAT(result.items(),
                ElementsAre(AllOf(HasSubstr(address + " ok Redis 7."), HasSubstr("client"))));
    EXPECT_THAT(
        result.lines(),
        IsSupersetOf({"redis_up 1", R"(redis_db_keys{db="db0"} 2)",
                      R"(redis_db_keys_expiring{db="db0"} 1)", R"(redis_db_keys{db="db15"} 0)",
                      R"(redis_errors_total{err="ERR"} 1)", R"(redis_commands_total{cmd="set"} 2)",
                      "redis_config_maxclients 10000", "redis_rdb_last_bgsave_status 1"}));
    EXPECT_GT(result.value("fleet_redis_ping_seconds"), 0);
    EXPECT_LT(result.value("fleet_redis_ping_seconds"), 1);
  }
}

TEST_F(RedisTest, FindsServersByTheirTitlesAndRemembersThem) {
  auto redis = std::make_unique<TestRedis>();
  const auto found = FindRedisServers(HostFs());
  ASSERT_THAT(found, IsOk());
  std::vector<std::string> addresses;
  for (const RedisServer& server : *found) addresses.push_back(server.address);
  EXPECT_THAT(addresses, Contains(redis->address()));

  check_ = MakeRedisCheck(runner_.env());
  EXPECT_THAT(Item(), HasSubstr(redis->address() + " ok"));
  redis->Stop();
  // A new check with the same memory, as after a restart of the agent.
  check_ = MakeRedisCheck(runner_.env());
  EXPECT_THAT(Item(), HasSubstr(redis->address() + " crit connect: Connection refused"));
}

TEST_F(RedisTest, StoppingItIsCritWithinOneRunAndRestartHeals) {
  TestRedis redis;
  Watch(redis.address());
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  redis.Stop();
  const CheckResult down = Run();
  EXPECT_THAT(down.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("refused")));
  EXPECT_EQ(down.verdict(), Verdict::kCrit);
  EXPECT_THAT(down.lines(), ElementsAre("redis_up 0"));
  redis.Start();
  EXPECT_THAT(Item(), HasSubstr(" ok "));
}

TEST_F(RedisTest, AStoppedProcessIsNoticedWithinTheDeadline) {
  TestRedis redis;
  Watch(redis.address());
  runner_.set_deadline(absl::Seconds(1));
  ASSERT_THAT(Item(), HasSubstr(" ok "));
  redis.Signal(SIGSTOP);
  const absl::Time start = absl::Now();
  EXPECT_THAT(Item(), HasSubstr("crit accepts connections but does not answer"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  redis.Signal(SIGCONT);
  EXPECT_THAT(Item(), HasSubstr(" ok "));
}

TEST_F(RedisTest, FullUnderNoevictionIsCrit) {
  TestRedis redis({"--maxmemory", "3mb"});
  Watch(redis.address());
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  const std::string value(100'000, 'x');
  while (!redis.Do({"RPUSH", "list", value}).Is("OOM")) continue;
  const CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kCrit);
  EXPECT_THAT(result.items(), ElementsAre(AllOf(HasSubstr("1 write refused with OOM"),
                                                HasSubstr("under policy noeviction"))));
}

TEST_F(RedisTest, AFullCacheIsFineUnlessSidekiqLivesInIt) {
  TestRedis redis({"--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"});
  Watch(redis.address());
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  for (int i = 0; i < 100; ++i) redis.Do({"SET", absl::StrCat(i), std::string(50'000, 'x')});
  ASSERT_GT(redis.Info("evicted_keys"), 0);
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  redis.Do({"SADD", "queues", "default"});
  EXPECT_THAT(Item(), AllOf(HasSubstr(" warn "), HasSubstr("must be noeviction for Sidekiq")));
}

TEST_F(RedisTest, AFailingSaveIsCrit) {
  TestRedis redis({"--save", "3600 1", "--dbfilename", "taken"});
  Watch(redis.address());
  // A directory in its place: the new dump cannot be renamed over it, not even by root.
  redis.Do({"SET", "a", "1"});
  ASSERT_EQ(test::RunProgram({"mkdir", "-p", redis.path("taken/x")}).exit_code, 0);
  redis.Do({"BGSAVE"});
  ASSERT_TRUE(WaitFor([&] { return redis.Info("rdb_bgsave_in_progress") == 0; }));
  EXPECT_THAT(Item(), AllOf(HasSubstr(" crit last RDB save failed"),
                            HasSubstr("writes are refused (MISCONF)")));
  ASSERT_EQ(test::RunProgram({"rm", "-r", redis.path("taken")}).exit_code, 0);
  redis.Do({"BGSAVE"});
  ASSERT_TRUE(WaitFor([&] { return redis.Info("rdb_bgsave_in_progress") == 0; }));
  EXPECT_THAT(Item(), HasSubstr(" ok "));
}

TEST_F(RedisTest, WithoutThePasswordItIsBlind) {
  TestRedis redis({"--requirepass", "s3cret"});
  Watch(redis.address());
  const CheckResult blind = Run();
  EXPECT_THAT(blind.status, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(blind.items(), ElementsAre(AllOf(HasSubstr("unknown:blind NOAUTH"),
                                               HasSubstr("fleet-agent redis-acl"))));
  const TempDir dir;
  WriteFile(dir / "wrong", "other\n");
  Watch(redis.address(), "", dir / "wrong");
  EXPECT_THAT(Item(), HasSubstr("unknown:blind WRONGPASS"));
  WriteFile(dir / "right", "s3cret\n");
  Watch(redis.address(), "", dir / "right");
  EXPECT_THAT(Item(), HasSubstr(" ok "));
}

TEST_F(RedisTest, TheUserOfRedisAclSuffices) {
  TestRedis redis({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  const auto line =
      RedisAclLine({.user = "fleet", .version = "7.0", .name_space = "", .sidekiq = true});
  ASSERT_THAT(line, IsOk());
  const RedisReply made =
      redis.Do(absl::StrSplit(absl::StrReplaceAll(*line, {{"PASSWORD", "pw"}}), ' '));
  ASSERT_EQ(made.text, "OK");
  const TempDir dir;
  WriteFile(dir / "password", "pw");
  Watch(redis.address(), "fleet", dir / "password");
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), ElementsAre(HasSubstr(" ok ")));
  EXPECT_THAT(result.lines(), Contains("redis_slowlog_length 0"));
  EXPECT_EQ(redis.Do({"ACL", "LOG"}).elements.size(), 0) << "something was refused";
}

TEST_F(RedisTest, AUserWithoutInfoIsBlindAndOneWithoutSlowlogIsNot) {
  TestRedis redis;
  const TempDir dir;
  WriteFile(dir / "password", "pw");
  redis.Do({"ACL", "SETUSER", "none", "on", ">pw", "-@all", "+ping"});
  Watch(redis.address(), "none", dir / "password");
  EXPECT_THAT(Item(), AllOf(HasSubstr("unknown:blind NOPERM"), HasSubstr("redis-acl")));
  redis.Do({"ACL", "SETUSER", "none", "+info"});
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  redis.Do({"ACL", "LOG", "RESET"});
  EXPECT_THAT(Item(), HasSubstr(" ok "));
  EXPECT_EQ(redis.Do({"ACL", "LOG"}).elements.size(), 0) << "asked again for what was refused";
}

TEST_F(RedisTest, AReplicaWithoutItsPrimaryIsCrit) {
  auto primary = std::make_unique<TestRedis>();
  TestRedis replica({"--replicaof", absl::StrCat("127.0.0.1 ", primary->port()),
                     "--repl-diskless-sync-delay", "0"});
  Watch(replica.address());
  ASSERT_TRUE(WaitFor([&] {
    return replica.Info("master_link_status") == 0 && primary->Info("connected_slaves") == 1 &&
           Run().verdict() == Verdict::kOk;
  }));
  const CheckResult up = Run();
  EXPECT_THAT(up.items(), ElementsAre(HasSubstr(" replica")));
  EXPECT_THAT(up.lines(),
              Contains(absl::StrCat("redis_master_link_up{master_host=\"127.0.0.1\",master_port=\"",
                                    primary->port(), "\"} 1")));
  primary.reset();
  ASSERT_TRUE(WaitFor([&] { return Run().verdict() == Verdict::kCrit; }));
  EXPECT_THAT(Item(), HasSubstr("replica: link to primary 127.0.0.1:"));
}

TEST_F(RedisTest, NoRoomForOneMoreClientIsAFinding) {
  TestRedis redis({"--maxclients", "4"});
  std::vector<std::unique_ptr<RedisClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<RedisClient>(
        RedisServer{.name = "", .address = redis.address(), .user = "", .password_file = ""}));
    (void)clients.back()->Run({{{"PING"}}}, absl::Seconds(1));
  }
  Watch(redis.address());
  EXPECT_THAT(Item(), HasSubstr("crit ERR max number of clients reached"));
}

TEST_F(RedisTest, SeveralServersAreItemsWithALabel) {
  TestRedis one;
  auto two = std::make_unique<TestRedis>();
  const std::string gone = two->address();
  two.reset();
  runner_.options().redis.servers = {
      {.name = "cache", .address = one.address(), .user = "", .password_file = ""},
      {.name = "jobs", .address = gone, .user = "", .password_file = ""}};
  check_ = MakeRedisCheck(runner_.env());
  const CheckResult result = Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(),
              ElementsAre(HasSubstr("cache ok"), HasSubstr("jobs crit connect: Connection")));
  EXPECT_THAT(result.lines(),
              IsSupersetOf({R"(redis_up{server="cache"} 1)", R"(redis_up{server="jobs"} 0)"}));
}

TEST_F(RedisTest, ServersThatAreNoneSaySo) {
  struct {
    std::string says;
    bool closes;
    absl::string_view reason;
  } cases[] = {
      {"HTTP/1.1 400 Bad Request\r\n\r\n", true, "not a Redis: Protocol error"},
      {"+OK\r\n$5000\r\n# Server\r\nredis_ver", true, "in the middle of an answer"},
      {"", true, "without an answer"},
      {"", false, "does not answer"},
      {"+OK\r\n$5000\r\n# Server\r\nredis_ver", false, "does not answer"},
      {"+OK\r\n+what\r\n+what\r\n+what\r\n", true, "expected field:value"},
      {"+OK\r\n*2147483647\r\n", false, "more than 200000 elements"},
      {"+OK\r\n$-5\r\n", false, "not a Redis"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.says);
    const FakeServer server(c.says, c.closes);
    Watch(server.address());
    runner_.set_deadline(absl::Milliseconds(500));
    const CheckResult result = Run();
    EXPECT_FALSE(result.status.ok());
    EXPECT_EQ(result.verdict(), Verdict::kCrit);
    EXPECT_THAT(result.items(), ElementsAre(HasSubstr(c.reason)));
    EXPECT_THAT(result.lines(), ElementsAre("redis_up 0"));
  }
}

}  // namespace
}  // namespace fleet::agent
