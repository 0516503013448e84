#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/checks/checks.h"
#include "agent/redis/acl.h"
#include "agent/redis/sidekiq_snapshot.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/redis_server.h"
#include "tests/support/sidekiq_recording.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::Fixture;
using ::fleet::test::HasCode;
using ::fleet::test::HasProgram;
using ::fleet::test::IsOk;
using ::fleet::test::Process;
using ::fleet::test::RestoreSidekiq;
using ::fleet::test::RunProgram;
using ::fleet::test::StatusIs;
using ::fleet::test::TempDir;
using ::fleet::test::TestRedis;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

std::string Job(absl::string_view enqueued_at, absl::string_view arguments = "1") {
  return absl::StrCat(R"({"retry":true,"queue":"q","args":[)", arguments,
                      R"(],"class":"W","created_at":1,"enqueued_at":)", enqueued_at, "}");
}

class SidekiqTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!TestRedis::Installed()) GTEST_SKIP() << "redis-server is not installed";
    redis_ = std::make_unique<TestRedis>();
    runner_.options().redis.servers = {
        {.name = "jobs", .address = redis_->address(), .user = "", .password_file = ""}};
    Make();
  }

  void Make() { check_ = MakeSidekiqCheck(runner_.env()); }
  CheckResult Run() { return runner_.Run(*check_); }
  std::vector<std::string> Items() { return Run().items(); }
  double Now() {
    double seconds = 0;
    EXPECT_TRUE(absl::SimpleAtod(redis_->Do({"TIME"}).elements[0].text, &seconds));
    return seconds;
  }
  /// A live process that takes jobs from `queues`.
  void AddProcess(absl::string_view queues, absl::string_view quiet = "false") {
    redis_->DoAll({{"SADD", "processes", "vm:1:abc"},
                   {"HSET", "vm:1:abc", "info",
                    absl::StrCat(R"({"hostname":"vm","concurrency":5,"queues":)", queues, "}"),
                    "busy", "2", "quiet", std::string(quiet), "rss", "1000"},
                   {"EXPIRE", "vm:1:abc", "60"}});
  }
  /// Bytes that one run makes the server send.
  double BytesOfOneRun() {
    const double before = redis_->Info("total_net_output_bytes");
    const double info = redis_->Info("total_net_output_bytes") - before;
    EXPECT_THAT(Run().status, IsOk());
    return redis_->Info("total_net_output_bytes") - before - 2 * info;
  }

  CheckRunner runner_{HostFs()};
  std::unique_ptr<TestRedis> redis_;
  std::unique_ptr<Check> check_;
};

TEST_F(SidekiqTest, ARedisWithoutItsKeysHasNone) {
  redis_->Do({"SET", "queues", "something else"});
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
  redis_->Do({"DEL", "queues"});
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
}

TEST_F(SidekiqTest, JudgesTheRecordedStates) {
  for (const char* version : {"6.4.1", "7.3.2"}) {
    SCOPED_TRACE(version);
    redis_->Do({"FLUSHALL"});
    redis_->DoAll(
        RestoreSidekiq(Fixture(absl::StrCat("sidekiq/", version, "-a-enqueued-no-worker.txt"))));
    EXPECT_THAT(Items(), AllOf(Contains(HasSubstr("default crit ")),
                               Contains("processes crit no live process")));
    redis_->Do({"FLUSHALL"});
    redis_->DoAll(RestoreSidekiq(Fixture(absl::StrCat("sidekiq/", version, "-b-running.txt"))));
    const CheckResult running = Run();
    ASSERT_THAT(running.status, IsOk());
    EXPECT_THAT(running.items(),
                AllOf(Contains("default ok empty"),
                      Contains(HasSubstr("nobody_listens crit 1 job, no live process serves it")),
                      Contains("processes ok 1 process, 2 of 4 threads busy")));
    EXPECT_THAT(running.lines(),
                IsSupersetOf({"sidekiq_processed_jobs_total 9", "sidekiq_failed_jobs_total 2",
                              "sidekiq_workers 4", "sidekiq_busy_workers 2", "sidekiq_dead_jobs 1",
                              "sidekiq_retry_jobs 1",
                              R"(sidekiq_queue_enqueued_jobs{name="nobody_listens"} 1)",
                              R"(sidekiq_queue_workers{name="default"} 4)",
                              R"(sidekiq_queue_latency_seconds{name="default"} 0)"}));
  }
  redis_->Do({"FLUSHALL"});
  redis_->DoAll(RestoreSidekiq(Fixture("sidekiq/6.4.1-d-killed9-after-65s.txt")));
  EXPECT_THAT(Items(), Contains("processes crit no live process, 1 process died without a word"));
  redis_->Do({"FLUSHALL"});
  redis_->DoAll(RestoreSidekiq(Fixture("sidekiq/7.3.2-c-after-TERM.txt")));
  EXPECT_THAT(Items(), AllOf(Contains(HasSubstr("default crit 2 jobs, no live process")),
                             Contains("processes crit no live process")));
}

TEST_F(SidekiqTest, FindsNamespacedKeysWhenToldSo) {
  redis_->DoAll(RestoreSidekiq(Fixture("sidekiq/6.4.1-namespaced-running.txt")));
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
  runner_.options().sidekiq.name_space = "mastodon";
  Make();
  EXPECT_THAT(Items(), AllOf(Contains("default ok empty"),
                             Contains(HasSubstr("nobody_listens crit 1 job"))));
}

TEST_F(SidekiqTest, KnowsBothUnitsOfEnqueuedAt) {
  AddProcess(R"(["seconds","millis","young"])");
  const double now = Now();
  redis_->DoAll({{"SADD", "queues", "seconds", "millis", "young"},
                 {"LPUSH", "queue:seconds", Job(absl::StrFormat("%.4f", now - 120))},
                 {"LPUSH", "queue:millis", Job(absl::StrFormat("%.0f", (now - 400) * 1000))},
                 {"LPUSH", "queue:young", Job(absl::StrFormat("%.4f", now - 5))}});
  const CheckResult result = Run();
  EXPECT_NEAR(result.value(R"(sidekiq_queue_latency_seconds{name="seconds"})"), 120, 3);
  EXPECT_NEAR(result.value(R"(sidekiq_queue_latency_seconds{name="millis"})"), 400, 3);
  EXPECT_THAT(result.items(), AllOf(Contains(HasSubstr("seconds warn 1 job, oldest waits 2 min")),
                                    Contains(HasSubstr("millis crit 1 job, oldest waits 7 min")),
                                    Contains(HasSubstr("young ok 1 job"))));
}

TEST_F(SidekiqTest, JudgesQuietRequiredOverdueAndDying) {
  runner_.options().sidekiq.required = {"ingress", "default"};
  runner_.options().sidekiq.dead_warn_per_hour = 1;
  Make();
  AddProcess(R"(["default"])", "true");
  const std::string now = absl::StrCat(static_cast<int64_t>(Now()));
  redis_->DoAll({{"SADD", "queues", "default"},
                 {"LPUSH", "queue:default", Job(now)},
                 {"ZADD", "schedule", "1000", Job(now)},
                 {"ZADD", "dead", now, Job(now)}});
  EXPECT_THAT(
      Items(),
      AllOf(Contains(HasSubstr("default warn 1 job, every process that serves it is quiet")),
            Contains("ingress crit required, but no live process serves it"),
            Contains(HasSubstr("processes warn every process is quiet")),
            Contains(HasSubstr("schedule warn 1 job of 1 overdue")),
            Contains(HasSubstr("dead warn 1 job, 1 of them"))));
}

TEST_F(SidekiqTest, IsUnknownBecauseOfItsRedis) {
  AddProcess(R"(["default"])");
  redis_->Do({"SADD", "queues", "default"});
  ASSERT_THAT(Run().status, IsOk());
  redis_->Stop();
  Make();  // as after a restart of the agent
  const CheckResult down = Run();
  EXPECT_THAT(down.status, StatusIs(absl::StatusCode::kAborted, HasSubstr("redis jobs: connect")));
  EXPECT_EQ(down.report.parent, "./redis/jobs");
  EXPECT_THAT(down.lines(), ::testing::IsEmpty());
  redis_->Start();
  AddProcess(R"(["default"])");
  EXPECT_THAT(Run().status, IsOk());
}

TEST_F(SidekiqTest, AMillionJobsCostNoMoreBytesThanAThousand) {
  AddProcess(R"(["default"])");
  redis_->Do({"SADD", "queues", "default"});
  RedisCommand push = {"LPUSH", "queue:default"};
  push.resize(1002, Job(absl::StrFormat("%.4f", Now())));
  redis_->Do(push);
  BytesOfOneRun();  // connects
  const double thousand = BytesOfOneRun();
  for (int i = 0; i < 37; ++i) redis_->DoAll(std::vector<RedisCommand>(27, push));
  ASSERT_EQ(redis_->Do({"LLEN", "queue:default"}).integer, 1'000'000);
  const double million = BytesOfOneRun();
  EXPECT_NEAR(million, thousand, 64);
  EXPECT_LT(million, 3000);
}

TEST_F(SidekiqTest, ArgumentsOfJobsNeverLeaveRedis) {
  AddProcess(R"(["small","huge"])");
  const std::string now = absl::StrFormat("%.4f", Now());
  redis_->DoAll(
      {{"SADD", "queues", "small", "huge"},
       {"LPUSH", "queue:small", Job(now, absl::StrCat("\"", std::string(20'000, 'x'), "\""))},
       {"LPUSH", "queue:huge", Job(now, absl::StrCat("\"", std::string(900'000, 'x'), "\""))},
       {"ZADD", "retry", "99999999999", Job(now, std::string(20'000, '7'))}});
  EXPECT_LT(BytesOfOneRun(), 3000);
  EXPECT_THAT(Items(), AllOf(Contains(HasSubstr("small ok 1 job, oldest waits")),
                             Contains(HasSubstr("huge ok 1 job, oldest waits"))));
}

TEST_F(SidekiqTest, TheUserOfRedisAclSuffices) {
  for (const std::string name_space : {"", "mastodon"}) {
    SCOPED_TRACE(name_space);
    const std::string prefix = name_space.empty() ? "" : "mastodon:";
    const auto line = RedisAclLine(
        {.user = "fleet", .version = "7.0", .name_space = name_space, .sidekiq = true});
    ASSERT_THAT(line, IsOk());
    ASSERT_EQ(
        redis_->Do(absl::StrSplit(absl::StrReplaceAll(*line, {{"PASSWORD", "pw"}}), ' ')).text,
        "OK");
    redis_->DoAll(
        RestoreSidekiq(Fixture(name_space.empty() ? "sidekiq/7.3.2-b-running.txt"
                                                  : "sidekiq/6.4.1-namespaced-running.txt")));
    const TempDir dir;
    WriteFile(dir / "password", "pw");
    runner_.options().redis.servers[0].user = "fleet";
    runner_.options().redis.servers[0].password_file = dir / "password";
    runner_.options().sidekiq.name_space = name_space;
    Make();
    const CheckResult result = Run();
    ASSERT_THAT(result.status, IsOk());
    EXPECT_THAT(result.items(), Contains(HasSubstr("nobody_listens crit 1 job, no live process "
                                                   "serves it, oldest waits")));
    EXPECT_EQ(redis_->Do({"ACL", "LOG"}).elements.size(), 0) << "something was refused";
    // Without scripts only the latency is blind, and the server hears of it once.
    redis_->Do({"ACL", "SETUSER", "fleet", "-eval_ro"});
    const CheckResult blind = Run();
    EXPECT_THAT(blind.items(), AllOf(Contains(HasSubstr("latency unknown:blind NOPERM")),
                                     Contains("processes ok 1 process, 2 of 4 threads busy")));
    redis_->Do({"ACL", "LOG", "RESET"});
    EXPECT_THAT(Items(), Contains(HasSubstr("latency unknown:blind")));
    EXPECT_EQ(redis_->Do({"ACL", "LOG"}).elements.size(), 0) << "asked again";
    redis_->Do({"FLUSHALL"});
  }
}

TEST_F(SidekiqTest, FollowsARealSidekiqFromEnqueueToDeath) {
  if (!HasProgram("sidekiq")) GTEST_SKIP() << "sidekiq is not installed";
  const std::string script = absl::StrCat(FLEET_SOURCE_DIR, "/tests/integration/sidekiq_worker.rb");
  const std::vector<std::pair<std::string, std::string>> environment = {
      {"REDIS_URL", absl::StrCat("redis://", redis_->address(), "/0")}};
  const TempDir dir;
  const auto options = [&](const char* log) {
    return Process::Options{.output_path = dir / log,
                            .environment = environment,
                            .user = {},
                            .working_directory = dir.path()};
  };
  ASSERT_EQ(Process({"ruby", script}, options("enqueue")).Wait(absl::Seconds(60)), 0)
      << test::ReadFile(dir / "enqueue");
  EXPECT_THAT(Items(), AllOf(Contains(HasSubstr("default crit 4 jobs, no live process serves it")),
                             Contains(HasSubstr("nobody_listens crit 2 jobs")),
                             Contains("schedule ok 1 job")));

  Process worker({"sidekiq", "-r", script, "-q", "default", "-c", "2", "-t", "1"},
                 options("worker"));
  ASSERT_TRUE(WaitFor(
      [&] {
        const CheckResult result = Run();
        return result.status.ok() && result.value("sidekiq_busy_workers") == 1 &&
               result.value("sidekiq_processed_jobs_total") >= 3;
      },
      absl::Seconds(60)))
      << test::ReadFile(dir / "worker");
  EXPECT_THAT(Items(), AllOf(Contains("default ok empty"),
                             Contains(HasSubstr("nobody_listens crit 2 jobs, no live process")),
                             Contains("processes ok 1 process, 1 of 2 threads busy")));

  worker.Kill(SIGKILL);
  ASSERT_TRUE(worker.Wait(absl::Seconds(10)).has_value());
  const RedisReply identity = redis_->Do({"SRANDMEMBER", "processes"});
  redis_->Do({"PEXPIRE", identity.text, "20000"});  // what 40 s of silence look like
  EXPECT_THAT(Items(), Contains(HasSubstr("without heartbeat for 40 s")));
  redis_->Do({"DEL", identity.text});  // and 60
  EXPECT_THAT(Items(), Contains("processes crit no live process, 1 process died without a word"));
}

}  // namespace
}  // namespace fleet::agent
