// The main job with real programs: servers, agent, collector, fleetctl.
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/md_fixture.h"

namespace fleet::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

bool Inside() { return std::getenv("FLEET_TEST_INSIDE") != nullptr; }

std::unique_ptr<Process> StartRedis(const TempDir& dir) {
  auto redis = std::make_unique<Process>(
      std::vector<std::string>{"redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save",
                               "", "--dir", dir.path(), "--daemonize", "no"},
      Process::Options{dir / "redis.log", {}, "", ""});
  EXPECT_TRUE(WaitFor([] {
    return absl::StrContains(RunProgram({"redis-cli", "ping"}).text, "PONG");
  })) << ReadFile(dir / "redis.log");
  return redis;
}

std::unique_ptr<Process> StartSidekiq(const TempDir& dir) {
  WriteFile(dir / "jobs.rb",
            "class EasyJob\n  include Sidekiq::Worker\n  def perform(n); end\nend\n");
  return std::make_unique<Process>(
      std::vector<std::string>{"sidekiq", "-r", dir / "jobs.rb", "-q", "default", "-c", "2"},
      Process::Options{
          dir / "sidekiq.log", {{"REDIS_URL", "redis://127.0.0.1:6379/0"}}, "", dir.path()});
}

/// A fresh cluster with its socket in /run/postgresql, run by the user postgres.
std::unique_ptr<Process> StartPostgres(const TempDir& dir) {
  const std::string data = dir / "pg";
  std::filesystem::create_directories("/run/postgresql");
  EXPECT_EQ(Shell(absl::StrCat("chmod 755 ", dir.path(), " && mkdir ", data, " && chown postgres ",
                               data, " /run/postgresql"))
                .exit_code,
            0);
  Process init({"initdb", "-D", data, "-A", "peer", "--no-sync"},
               Process::Options{dir / "initdb.log", {}, "postgres", "/"});
  EXPECT_EQ(init.Wait(absl::Seconds(60)), 0) << ReadFile(dir / "initdb.log");
  auto postgres = std::make_unique<Process>(
      std::vector<std::string>{"postgres", "-D", data, "-k", "/run/postgresql", "-c",
                               "listen_addresses=127.0.0.1", "-c", "fsync=off"},
      Process::Options{dir / "pg.log", {}, "postgres", "/"});
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(ReadFile(dir / "pg.log"), "ready to accept connections");
  })) << ReadFile(dir / "pg.log");
  return postgres;
}

TEST(FleetTest, FindsPostgresRedisAndSidekiqByItselfAndTellsTheCauseWhenRedisDies) {
  if (!Inside()) GTEST_SKIP() << "the standard ports to itself: needs root";
  const TempDir dir;
  const std::unique_ptr<Process> postgres = StartPostgres(dir);
  std::unique_ptr<Process> redis = StartRedis(dir);
  const std::unique_ptr<Process> sidekiq = StartSidekiq(dir);
  // fleetctl is asked again and again until Sidekiq is up.
  CollectorProcess collector(dir, "limits: {handshakes_per_second: 1000}\n");
  AgentProcess agent(dir, collector, {});

  const auto verdict = [&](absl::string_view check) {
    const nlohmann::json found = FindCheck(Status(collector), "tempo", check);
    return found.is_null() ? std::string() : found["verdict"].get<std::string>();
  };
  ASSERT_TRUE(WaitFor([&] { return verdict("redis") == "ok" && verdict("sidekiq") == "ok"; },
                      absl::Seconds(40)))
      << Fleetctl(collector, {"status", "-o", "wide"}).text << agent.log();
  // Without a role PostgreSQL is there but cannot be judged, and the reason is the way out.
  const nlohmann::json blind = FindCheck(Status(collector), "tempo", "postgres");
  ASSERT_FALSE(blind.is_null()) << agent.log();
  EXPECT_EQ(blind["verdict"], "unknown");
  EXPECT_EQ(blind["unknown"], "blind");
  EXPECT_THAT(blind["reason"].get<std::string>(), HasSubstr("CREATE ROLE"));

  redis->Kill(SIGTERM);
  ASSERT_TRUE(redis->Wait(absl::Seconds(10)).has_value());
  const absl::Time stopped = absl::Now();
  ASSERT_TRUE(WaitFor([&] {
    return verdict("redis") == "crit" && verdict("sidekiq") == "unknown";
  })) << Fleetctl(collector, {"status", "-o", "wide"}).text;
  // One interval is a second here; the rest is for this loop's own processes.
  EXPECT_LT(absl::Now() - stopped, absl::Seconds(5));
  const nlohmann::json follower = FindCheck(Status(collector), "tempo", "sidekiq");
  EXPECT_THAT(follower["causedBy"].get<std::string>(), HasSubstr("tempo/redis")) << follower;
  EXPECT_THAT(Fleetctl(collector, {"status"}).text, HasSubstr("so also: tempo/sidekiq"));

  redis = StartRedis(dir);
  EXPECT_TRUE(WaitFor([&] { return verdict("redis") == "ok" && verdict("sidekiq") == "ok"; },
                      absl::Seconds(60)))
      << Fleetctl(collector, {"status", "-o", "wide"}).text;
}

TEST(FleetTest, AKilledAgentIsDownAndItsSeriesAreGoneWithinAMinute) {
  const TempDir dir;
  CollectorProcess collector(dir);
  AgentProcess agent(dir, collector, {});
  ASSERT_TRUE(WaitFor([&] { return HttpGet(collector.url("/metrics/host/tempo")).code == 200; }));
  EXPECT_THAT(HttpGet(collector.url("/metrics")).body,
              HasSubstr("node_load1{instance=\"tempo\",job=\"fleet\"}"));
  agent.process().Kill(SIGKILL);
  const absl::Time killed = absl::Now();
  EXPECT_TRUE(WaitFor([&] { return HttpGet(collector.url("/metrics/host/tempo")).code == 503; },
                      absl::Seconds(60)));
  EXPECT_LT(absl::Now() - killed, absl::Seconds(60));
  const std::string metrics = HttpGet(collector.url("/metrics")).body;
  EXPECT_THAT(metrics, Not(HasSubstr("node_load1{")));
  EXPECT_THAT(metrics,
              HasSubstr("fleet_host_up{instance=\"tempo\",job=\"fleet\",host=\"tempo\"} 0"));
  EXPECT_EQ(Fleetctl(collector, {"status"}).exit_code, 3);
}

TEST(FleetTest, WatchShowsAChangeAtOnce) {
  const TempDir dir;
  TempHost fixture;
  fixture.Write("proc/loadavg", "0.10 0.10 0.10 1/80 1\n")
      .Write("proc/stat", "cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
  CollectorProcess collector(dir);
  AgentProcess::Options options;
  options.root = fixture.root();
  options.interval = "200ms";
  AgentProcess agent(dir, collector, options);
  ASSERT_TRUE(WaitFor([&] { return !FindCheck(Status(collector), "tempo", "load").is_null(); }))
      << agent.log();
  Process watch({absl::StrCat(FLEET_BIN_DIR, "/fleetctl"), "--insecure", "--collector",
                 collector.grpc_address(), "status", "-w"},
                Process::Options{dir / "watch.txt", {}, "", ""});
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(ReadFile(dir / "watch.txt"), "fleet "); }));
  fixture.Write("proc/loadavg", "900 900 900 1/80 1\n");
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(ReadFile(dir / "watch.txt"), "load 900"); }));
}

TEST(FleetTest, FleetctlSaysWhoDoesNotAnswer) {
  const TempDir dir;
  CollectorProcess collector(dir);
  EXPECT_EQ(Fleetctl(collector, {"status", "nobody"}).exit_code, 64);
  EXPECT_EQ(Fleetctl(collector, {"nonsense"}).exit_code, 64);
  collector.process().Stop();
  const Output output = Fleetctl(collector, {"status"});
  EXPECT_EQ(output.exit_code, 4);
  EXPECT_THAT(output.text, HasSubstr("no answer from the collector at 127.0.0.1:"));
  const Output bare =
      RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleetctl"), "--ca", "/none", "status"});
  EXPECT_EQ(bare.exit_code, 4);
  EXPECT_THAT(bare.text, HasSubstr("name other files by --ca"));
}

TEST(FleetTest, AnAgentFindsItsCollectorAgain) {
  const TempDir dir;
  auto collector = std::make_unique<CollectorProcess>(dir);
  const uint16_t port = collector->grpc_port();
  AgentProcess agent(dir, *collector, {});
  ASSERT_TRUE(WaitFor([&] { return !FindCheck(Status(*collector), "tempo", "load").is_null(); }));
  collector->process().Stop();
  Process again({absl::StrCat(FLEET_BIN_DIR, "/fleet-collector"), "--insecure", "--grpc-listen",
                 absl::StrCat("127.0.0.1:", port), "--http-listen", "127.0.0.1:0"},
                Process::Options{dir / "again.log", {}, "", ""});
  EXPECT_TRUE(WaitFor([&] { return !FindCheck(Status(*collector), "tempo", "load").is_null(); },
                      absl::Seconds(40)))
      << agent.log() << ReadFile(dir / "again.log");
}

TEST(AgentTest, JudgesARecordedArrayAsJson) {
  TempHost host;
  UnpackMdState("run1-raid1/006-raid1-failed-member", host);
  const Output output = RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleet-agent"), "--root",
                                    host.root(), "check", "raid", "-o", "json"});
  EXPECT_EQ(output.exit_code, 2) << output.text;
  const nlohmann::json json = nlohmann::json::parse(output.text);
  EXPECT_EQ(json["checks"][0]["name"], "raid");
  EXPECT_EQ(json["checks"][0]["verdict"], "crit");
  EXPECT_EQ(json["checks"][0]["items"][0]["name"], "md0");
}

TEST(AgentTest, ForgetsACheckThatIsGone) {
  const TempDir dir;
  TempHost host;
  host.Write("proc/loadavg", "0.10 0.10 0.10 1/80 1\n");
  const std::string agent = absl::StrCat(FLEET_BIN_DIR, "/fleet-agent");
  WriteFile(dir / "agent.yaml", absl::StrCat("data_dir: ", dir / "data", "\n"));
  EXPECT_EQ(RunProgram({agent, "--config", dir / "agent.yaml", "forget", "load"}).exit_code, 1);
  std::filesystem::create_directories(dir / "data/memory");
  WriteFile(dir / "data/memory/load", "fleet-memory 1 seen\n");
  host.Remove("proc/loadavg");
  const std::vector<std::string> check = {
      agent, "--config", dir / "agent.yaml", "--root", host.root(), "check", "load"};
  EXPECT_THAT(RunProgram(check).text, HasSubstr("crit"));
  EXPECT_EQ(RunProgram({agent, "--config", dir / "agent.yaml", "forget", "load"}).exit_code, 0);
  EXPECT_THAT(RunProgram(check).text, HasSubstr("not on this host: load"));
}

}  // namespace
}  // namespace fleet::test
