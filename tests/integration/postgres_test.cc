#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "agent/checks/checks.h"
#include "common/scoped_fd.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/postgres_cluster.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::PostgresCluster;
using ::fleet::test::Process;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// The check as the agent has it, on this machine and in real time.
class Agent {
 public:
  explicit Agent(std::vector<std::string> dsns = {}, const std::string& password_file = "") {
    runner_.UseRealClock();
    for (std::string& dsn : dsns) {
      options().servers.push_back(
          {.name = {}, .dsn = std::move(dsn), .password_file = password_file});
    }
  }
  PostgresOptions& options() { return runner_.options().postgres; }
  CheckRunner& runner() { return runner_; }

  CheckResult Run() {
    if (check_ == nullptr) check_ = MakePostgresCheck(runner_.env());
    return runner_.Run(*check_);
  }
  /// As a restart of the agent: connections and caches are gone, memory stays.
  void Restart() { check_.reset(); }

 private:
  CheckRunner runner_{HostFs("/")};
  std::unique_ptr<Check> check_;
};

std::vector<std::string> Items(Agent& agent) { return agent.Run().items(); }

/// Whether some item starts so within the time that polling takes.
bool Eventually(Agent& agent, absl::string_view start) {
  return WaitFor([&] {
    for (const std::string& item : Items(agent)) {
      if (absl::StartsWith(item, start)) return true;
    }
    return false;
  });
}

class PostgresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresCluster::Available()) GTEST_SKIP() << "needs root and postgresql-15";
  }

  /// Started, with the role that the reasons tell to make.
  std::unique_ptr<PostgresCluster> Started(absl::string_view conf = "") {
    auto cluster = std::make_unique<PostgresCluster>(conf);
    cluster->Start();
    cluster->Sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;");
    return cluster;
  }
};

TEST_F(PostgresTest, WithoutARoleItIsBlindAndTheLinesInTheReasonHeal) {
  PostgresCluster cluster;
  cluster.Start();
  Agent agent({cluster.dsn()});
  CheckResult result = agent.Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(result.items(),
              ElementsAre(AllOf(StartsWith(cluster.name() + " unknown:blind"),
                                HasSubstr("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;"))));
  EXPECT_EQ(result.value("pg_up"), 0);

  cluster.Sql("CREATE ROLE fleet LOGIN;");
  result = agent.Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), Contains(AllOf(StartsWith(cluster.name() + " rights unknown:blind"),
                                             HasSubstr("GRANT pg_monitor TO fleet;"))));
  EXPECT_EQ(result.value("pg_up"), 1);

  cluster.Sql("GRANT pg_monitor TO fleet;");
  EXPECT_THAT(Items(agent), ElementsAre(StartsWith(cluster.name() + " ok 15.")));
}

TEST_F(PostgresTest, DebiansPeerLoginIsHealedByTheLinesInTheReason) {
  PostgresCluster cluster;
  cluster.Start();
  const std::string debian = "local all postgres trust\nlocal all all peer\n";
  cluster.SetHba(debian);
  Agent agent({cluster.dsn()});
  ASSERT_TRUE(WaitFor([&] { return absl::IsPermissionDenied(agent.Run().status); }));
  EXPECT_THAT(agent.Run().status, HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Items(agent),
              ElementsAre(AllOf(HasSubstr("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;"),
                                HasSubstr("'local postgres fleet peer map=fleet' first in pg_hba"),
                                HasSubstr("'fleet root fleet' into pg_ident.conf"))));
  cluster.Sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;");
  cluster.SetHba("local postgres fleet peer map=fleet\n" + debian, "fleet root fleet\n");
  agent.Restart();
  EXPECT_TRUE(Eventually(agent, cluster.name() + " ok"));
}

TEST_F(PostgresTest, APasswordComesFromItsFile) {
  const auto cluster = Started();
  cluster->Sql("ALTER ROLE fleet PASSWORD 'it''s \\ secret';");
  cluster->SetHba("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
  const test::TempDir dir;
  Agent without({cluster->tcp_dsn()});
  ASSERT_TRUE(WaitFor([&] { return absl::IsPermissionDenied(without.Run().status); }));
  EXPECT_THAT(Items(without),
              ElementsAre(AllOf(HasSubstr("unknown:blind"), HasSubstr("password_file"))));
  Agent wrong({cluster->tcp_dsn()}, dir / "password");
  EXPECT_THAT(Items(wrong),
              ElementsAre(AllOf(HasSubstr("unknown:blind"), HasSubstr(dir / "password"))));
  WriteFile(dir / "password", "nonsense\n");
  EXPECT_THAT(Items(wrong),
              ElementsAre(AllOf(HasSubstr("unknown:blind"), HasSubstr("not its password"),
                                Not(HasSubstr("nonsense")))));
  WriteFile(dir / "password", "it's \\ secret\n");
  EXPECT_THAT(Items(wrong),
              ElementsAre(StartsWith(absl::StrCat("127.0.0.1:", cluster->port(), " ok"))));
}

TEST_F(PostgresTest, EachPlaceThatIsNotOursSaysWhy) {
  const auto cluster = Started();
  Agent nowhere({cluster->dsn() + " dbname=nowhere"});
  EXPECT_THAT(Items(nowhere),
              ElementsAre(AllOf(HasSubstr("unknown:blind"), HasSubstr("no database nowhere"))));
  cluster->Sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;");
  Agent locked({cluster->dsn()});
  EXPECT_THAT(Items(locked),
              ElementsAre(HasSubstr("GRANT CONNECT ON DATABASE postgres TO fleet;")));
}

TEST_F(PostgresTest, AGroupThatFailsOnlyDisablesItself) {
  const auto cluster = Started();
  cluster->Sql("REVOKE SELECT ON pg_stat_archiver, pg_locks FROM PUBLIC;");
  Agent agent({cluster->dsn()});
  const CheckResult result = agent.Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(),
              ElementsAre(StartsWith(cluster->name() + " ok 15."),
                          AllOf(StartsWith(cluster->name() + " archiver unknown:blind"),
                                HasSubstr("GRANT SELECT ON pg_stat_archiver TO fleet;")),
                          AllOf(StartsWith(cluster->name() + " locks unknown:blind"),
                                HasSubstr("GRANT SELECT ON pg_locks TO fleet;"))));
  const std::string server = absl::StrCat("{server=\"", cluster->name(), "\"}");
  EXPECT_EQ(result.value("pg_settings_max_connections" + server), 100);
  EXPECT_GE(result.value("pg_stat_bgwriter_buffers_alloc_total" + server), 0);
  EXPECT_THAT(result.lines(), Not(Contains(StartsWith("pg_stat_archiver"))));
  EXPECT_THAT(result.lines(), Not(Contains(StartsWith("pg_locks_count"))));
}

TEST_F(PostgresTest, SaturationIsCritWithNumbersAndTheKeptConnectionStillSees) {
  const auto cluster = Started(
      "max_connections = 5\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0\n"
      "wal_level = minimal");
  Agent inside({cluster->dsn()});
  ASSERT_THAT(inside.Run().status, IsOk());
  std::vector<std::unique_ptr<Process>> sessions;
  for (int i = 0; i < 3; ++i) sessions.push_back(cluster->Session("SELECT 1;", "fleet"));
  EXPECT_TRUE(Eventually(
      inside, cluster->name() + " connections crit saturated: 4 of 4 connections taken"));
  EXPECT_THAT(inside.Run().status, IsOk());

  inside.Restart();  // Now without its connection, which another takes, but with its memory.
  EXPECT_TRUE(WaitFor([&] {
    sessions.push_back(cluster->Session("SELECT 1;", "fleet"));
    return cluster->Sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'fleet';") == "4\n";
  }));
  const CheckResult result = inside.Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(
      result.items(),
      ElementsAre(StartsWith(cluster->name() + " crit saturated: all 4 connections are taken")));
}

TEST_F(PostgresTest, NamesSessionsThatIdleInATransactionAndWhatWaitsForThem) {
  const auto cluster = Started();
  cluster->Sql("CREATE TABLE t ();");
  Agent agent({cluster->dsn()});
  agent.options().idle_in_transaction_warn = absl::Milliseconds(100);
  agent.options().transaction_warn = absl::Milliseconds(200);
  agent.options().lock_wait_warn = absl::Milliseconds(100);
  const auto holder = cluster->Session("BEGIN; LOCK TABLE t;");
  EXPECT_TRUE(Eventually(agent, cluster->name() + " idle in transaction warn"));
  const auto waiter = cluster->Session("BEGIN; LOCK TABLE t;");
  EXPECT_TRUE(Eventually(agent, cluster->name() + " locks warn 1 session waits for a lock"));
  const CheckResult result = agent.Run();
  EXPECT_THAT(result.items(),
              AllOf(Contains(AllOf(HasSubstr(" locks warn"), HasSubstr("held by postgres@postgres"),
                                   HasSubstr("psql), idle in transaction"))),
                    Contains(AllOf(HasSubstr(" idle in transaction warn"), HasSubstr("psql)"))),
                    Contains(HasSubstr(" long transaction warn"))));
  EXPECT_EQ(result.value(
                absl::StrCat("fleet_postgres_waiting_sessions{server=\"", cluster->name(), "\"}")),
            1);
}

TEST_F(PostgresTest, AFrozenServerIsNoticedWithinTheDeadlineAndTheNextRunAfterItWorks) {
  const auto cluster = Started();
  for (const std::string& dsn : {cluster->dsn(), cluster->tcp_dsn()}) {
    SCOPED_TRACE(dsn);
    Agent kept({dsn});   // frozen in the middle of its connection
    Agent fresh({dsn});  // frozen before it connects
    for (Agent* const agent : {&kept, &fresh}) {
      agent->runner().set_deadline(absl::Seconds(1));
    }
    ASSERT_THAT(kept.Run().status, IsOk());
    cluster->Signal(SIGSTOP);
    for (Agent* const agent : {&kept, &fresh}) {
      const SteadyTime start = Clock::Real().SteadyNow();
      const CheckResult result = agent->Run();
      EXPECT_LT(Clock::Real().SteadyNow() - start, absl::Seconds(1));
      EXPECT_THAT(result.status, HasCode(absl::StatusCode::kUnavailable));
      EXPECT_THAT(result.items(), ElementsAre(HasSubstr(" crit no answer to a ")));
    }
    cluster->Signal(SIGCONT);
    for (Agent* const agent : {&kept, &fresh}) EXPECT_THAT(agent->Run().status, IsOk());
  }
}

TEST_F(PostgresTest, ARestartHealsInTheFirstRunAndAStopIsCrit) {
  const auto cluster = Started();
  Agent agent({cluster->dsn()});
  ASSERT_THAT(agent.Run().status, IsOk());
  cluster->Stop();
  cluster->Start();
  EXPECT_THAT(agent.Run().status, IsOk());
  cluster->Stop();
  const CheckResult result = agent.Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(result.items(), ElementsAre(StartsWith(cluster->name() + " crit ")));
  EXPECT_EQ(result.value("pg_up"), 0);
  cluster->Start();
  EXPECT_THAT(agent.Run().status, IsOk());
}

TEST_F(PostgresTest, IsFoundWithoutConfigurationAndMissedWhenItGoes) {
  const auto cluster = Started();
  Agent agent;
  EXPECT_THAT(Items(agent), Contains(StartsWith(cluster->name() + " ok")));
  EXPECT_NE(agent.runner().memory().Find("server/" + cluster->name()), nullptr);
  cluster->Stop();
  EXPECT_THAT(Items(agent), Contains(StartsWith(cluster->name() + " crit")));
  Agent stranger;
  EXPECT_THAT(Items(stranger), Not(Contains(StartsWith(cluster->name()))));
}

TEST_F(PostgresTest, ReplicationSlotsAndBaseBackups) {
  const auto primary = Started("archive_mode = on\narchive_command = 'true'\n");
  primary->Sql("SELECT pg_create_physical_replication_slot('standby1');");
  PostgresCluster standby(*primary, "standby1");
  standby.Start();
  Agent agent({primary->dsn(), standby.dsn()});
  EXPECT_TRUE(Eventually(agent, primary->name() + " standby walreceiver ok async"));
  EXPECT_TRUE(Eventually(agent, standby.name() + " replication ok streaming"));
  EXPECT_TRUE(Eventually(agent, primary->name() + " slot standby1 ok"));
  const CheckResult healthy = agent.Run();
  EXPECT_THAT(healthy.items(), Contains(AllOf(StartsWith(primary->name() + " ok 15."),
                                              HasSubstr("primary"), HasSubstr("base backup"))));
  EXPECT_THAT(healthy.items(),
              Contains(AllOf(StartsWith(standby.name() + " ok 15."), HasSubstr("standby"))));
  const std::string server = absl::StrCat("{server=\"", primary->name(), "\"}");
  EXPECT_NEAR(healthy.value("fleet_postgres_last_base_backup_timestamp_seconds" + server),
              static_cast<double>(absl::ToUnixSeconds(absl::Now())), 120);
  EXPECT_EQ(
      healthy.value(absl::StrCat("fleet_postgres_in_recovery{server=\"", standby.name(), "\"}")),
      1);

  standby.Stop();
  primary->Sql("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 30000);");
  EXPECT_TRUE(Eventually(agent, primary->name() + " slot standby1 warn inactive, holds back"));
  EXPECT_THAT(Items(agent), Contains(StartsWith(standby.name() + " crit")));

  standby.Start();
  EXPECT_TRUE(Eventually(agent, primary->name() + " slot standby1 ok"));
  primary->Stop();
  EXPECT_TRUE(Eventually(agent, standby.name() + " replication warn does not stream"));
}

TEST_F(PostgresTest, AnArchiverThatFailsIsNamed) {
  const auto cluster = Started("archive_mode = on\narchive_command = 'false'\n");
  cluster->Sql("CREATE TABLE t AS SELECT 1; SELECT pg_switch_wal();");
  Agent agent({cluster->dsn()});
  EXPECT_TRUE(Eventually(agent, cluster->name() + " archiver warn archive_command fails"));
  agent.options().archiver_failing_crit = absl::ZeroDuration();
  agent.Restart();
  EXPECT_TRUE(Eventually(agent, cluster->name() + " archiver crit"));
}

TEST_F(PostgresTest, ADamagedPageIsFoundByItsChecksum) {
  const auto cluster = Started();
  cluster->Sql("CREATE TABLE t AS SELECT 1 AS a; CHECKPOINT;");
  const std::vector<std::string> path =
      absl::StrSplit(cluster->Sql("SELECT pg_relation_filepath('t');"), '\n');
  cluster->Stop();
  {
    const ScopedFd file(::open((cluster->data() + "/" + path[0]).c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), "damage", 6, 8000), 6);
  }
  cluster->Start();
  cluster->Sql("DO $$ BEGIN PERFORM * FROM t; EXCEPTION WHEN data_corrupted THEN END $$;");
  Agent agent({cluster->dsn()});
  EXPECT_TRUE(Eventually(agent, cluster->name() + " checksums postgres crit 1 pages"));
}

TEST_F(PostgresTest, DeadRowsAreSeenInEveryDatabaseInTurn) {
  const auto cluster = Started();
  cluster->Sql("CREATE DATABASE mastodon;");
  cluster->Sql("CREATE TABLE t AS SELECT generate_series(1, 120000) AS a;", "mastodon");
  cluster->Sql("DELETE FROM t WHERE a > 10;", "mastodon");
  Agent agent({cluster->dsn()});
  agent.options().sizes_interval = absl::Milliseconds(1);
  EXPECT_TRUE(Eventually(agent, cluster->name() + " vacuum mastodon warn public.t has"));
  EXPECT_EQ(agent.Run().value(absl::StrCat(
                "fleet_postgres_dead_rows{datname=\"mastodon\",server=\"", cluster->name(), "\"}")),
            119'990);
}

/// Something on a socket named like PostgreSQL's that answers each connection with `reply` and then
/// hangs up or says no more.
class FakeServer {
 public:
  FakeServer(std::string reply, bool hang_up) : reply_(std::move(reply)), hang_up_(hang_up) {
    listener_ = ScopedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    (dir_ / ".s.PGSQL.5432").copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    thread_ = std::jthread([this](const std::stop_token& stop) { Serve(stop); });
  }
  std::string dsn() const { return "host=" + dir_.path(); }

 private:
  void Serve(const std::stop_token& stop) {
    std::vector<ScopedFd> open;
    while (!stop.stop_requested()) {
      pollfd ready = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 5) <= 0) continue;
      ScopedFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char startup[1024];
      if (::read(client.get(), startup, sizeof startup) <= 0) continue;
      EXPECT_EQ(::send(client.get(), reply_.data(), reply_.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(reply_.size()));
      if (!hang_up_) open.push_back(std::move(client));
    }
  }

  const std::string reply_;
  const bool hang_up_;
  test::TempDir dir_;
  ScopedFd listener_;
  std::jthread thread_;
};

std::string Bytes(std::initializer_list<absl::string_view> parts) {
  std::string bytes;
  for (const absl::string_view part : parts) absl::StrAppend(&bytes, part);
  return bytes;
}

TEST(PostgresFakeTest, WhateverAnswersTheCheckSaysSoInTime) {
  using namespace std::literals;
  const auto view = [](const auto& literal) {
    return absl::string_view(literal, sizeof literal - 1);
  };
  const std::string welcome = Bytes({view("R\0\0\0\x08\0\0\0\0"),
                                     view("S\0\0\0\x18server_version\0"
                                          "15.0\0"),
                                     view("Z\0\0\0\x05I")});
  const struct {
    const char* what;
    std::string reply;
    bool hang_up;
  } cases[] = {
      {"nothing at all, then gone", "", true},
      {"silence", "", false},
      {"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", true},
      {"another protocol, open", "SSH-2.0-OpenSSH_9.2\r\n", false},
      {"random bytes", std::string(4000, '\x7f'), false},
      {"a length of 2 GB", Bytes({view("R\x7f\xff\xff\xff")}), false},
      {"a negative length", Bytes({view("E\xff\xff\xff\xff")}), false},
      {"welcome, then gone", welcome, true},
      {"welcome, then silence", welcome, false},
      {"half an answer, then gone", Bytes({welcome, view("T\0\0\0\x21\0\x01na")}), true},
      {"half an answer, then silence", Bytes({welcome, view("T\0\0\0\x21\0\x01na")}), false},
      {"a refusal in its words",
       Bytes({view("E\0\0\0\x2dSFATAL\0"
                   "C57P03\0"
                   "Mnot accepting connections\0"
                   "\0")}),
       true},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.what);
    const FakeServer server(test.reply, test.hang_up);
    Agent agent({server.dsn()});
    agent.runner().set_deadline(absl::Milliseconds(500));
    const SteadyTime start = Clock::Real().SteadyNow();
    const CheckResult result = agent.Run();
    EXPECT_LT(Clock::Real().SteadyNow() - start, absl::Milliseconds(500));
    EXPECT_FALSE(result.status.ok());
    EXPECT_NE(result.verdict(), Verdict::kOk) << result.status;
    EXPECT_THAT(result.items(), ElementsAre(Not(HasSubstr("\n"))));
  }
}

}  // namespace
}  // namespace fleet::agent
