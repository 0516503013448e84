#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "agent/checks/checks.h"
#include "agent/postgres/metrics.h"
#include "common/clock.h"
#include "tests/support/check_runner.h"
#include "tests/support/exposition_parser.h"
#include "tests/support/matchers.h"
#include "tests/support/postgres_cluster.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::ExposedFamily;
using ::fleet::test::Exposition;
using ::fleet::test::HasProgram;
using ::fleet::test::IsOk;
using ::fleet::test::PostgresCluster;
using ::fleet::test::Process;
using ::fleet::test::RunProgram;
using ::fleet::test::WaitFor;

constexpr absl::string_view kExporter = "prometheus-postgres-exporter";

/// The postgres_exporter of Debian over its own HTTP port.
class Exporter {
 public:
  explicit Exporter(const PostgresCluster& cluster)
      : port_(test::FreePort()),
        process_({std::string(kExporter), absl::StrCat("--web.listen-address=127.0.0.1:", port_)},
                 {.output_path = {},
                  .environment = {{"DATA_SOURCE_NAME",
                                   absl::StrCat("postgresql://fleet@127.0.0.1:", cluster.port(),
                                                "/postgres?sslmode=disable")}},
                  .user = {},
                  .working_directory = {}}) {
    EXPECT_TRUE(WaitFor([this] { return absl::StrContains(Text(), "pg_up 1"); }));
  }
  Exposition Scrape() const { return test::ParseExposition(Text()); }

 private:
  std::string Text() const {
    return RunProgram({"curl", "-s", absl::StrCat("http://127.0.0.1:", port_, "/metrics")}).text;
  }
  uint16_t port_;
  Process process_;
};

/// What the check adds, as an exporter would show it.
Exposition Ours(const CheckResult& result) {
  Exposition families;
  const SampleSet& samples = result.report.samples;
  for (size_t i = 0; i < samples.size(); ++i) {
    const SampleSet::Family& family = samples.families()[samples.series()[i].family];
    ExposedFamily& exposed = families[family.name];
    exposed.type = std::string(MetricTypeName(family.type));
    exposed.help = family.help;
    exposed.series[test::SortedLabels(samples.labels(i))] = samples.values()[i];
  }
  return families;
}

/// Families of the server that both may have; the exporter's of itself and of settings are not.
bool Compared(absl::string_view name) {
  return absl::StartsWith(name, "pg_") && !absl::StartsWith(name, "pg_exporter_") &&
         !absl::StartsWith(name, "pg_scrape_") &&
         (!absl::StartsWith(name, "pg_settings_") || name == "pg_settings_max_connections");
}

/// Whether looking changes it: the sessions and locks of whoever asks, in the asker's database.
bool Disturbed(absl::string_view name, absl::string_view labels) {
  return (absl::StartsWith(name, "pg_stat_activity_") || name == "pg_locks_count" ||
          name == "pg_stat_database_numbackends") &&
         absl::StrContains(labels, "datname=\"postgres\"");
}

void ExpectBetween(const std::string& series, double before, double ours, double after) {
  if (std::isnan(before) || std::isnan(ours) || std::isnan(after)) {
    EXPECT_TRUE(std::isnan(ours) && (std::isnan(before) || std::isnan(after))) << series;
    return;
  }
  EXPECT_GE(ours, std::min(before, after) - 1e-9) << series;
  EXPECT_LE(ours, std::max(before, after) + 1e-9) << series;
}

class PostgresExporterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresCluster::Available()) GTEST_SKIP() << "needs root and postgresql-15";
    if (!HasProgram(kExporter)) GTEST_SKIP() << "needs " << kExporter;
  }
};

void Compare(const PostgresCluster& cluster) {
  const Exporter exporter(cluster);
  CheckRunner runner{HostFs("/")};
  runner.UseRealClock();
  runner.options().postgres.servers.push_back(
      {.name = {}, .dsn = cluster.tcp_dsn(), .password_file = {}});
  const std::unique_ptr<Check> check = MakePostgresCheck(runner.env());
  ASSERT_THAT(runner.Run(*check).status, IsOk());
  const Exposition before = exporter.Scrape();
  const CheckResult result = runner.Run(*check);
  const Exposition after = exporter.Scrape();
  ASSERT_THAT(result.status, IsOk());

  const Exposition ours = Ours(result);
  size_t compared = 0;
  for (const auto& [name, theirs] : after) {
    if (!Compared(name)) continue;
    SCOPED_TRACE(name);
    const auto found = ours.find(name);
    if (found == ours.end()) {
      ADD_FAILURE() << "missing";
      continue;
    }
    EXPECT_EQ(found->second.type, theirs.type);
    const bool names_process = absl::StartsWith(name, "pg_stat_replication_");
    for (const auto& [labels, value] : theirs.series) {
      const auto series = found->second.series.find(labels);
      if (series == found->second.series.end()) {
        ADD_FAILURE() << "missing " << labels;
        continue;
      }
      ++compared;
      const auto& first = before.at(name).series;
      if (names_process && first.count(labels) == 0) continue;
      if (Disturbed(name, labels)) {
        EXPECT_NEAR(series->second, value, 3) << labels;
      } else {
        ExpectBetween(labels, first.at(labels), series->second, value);
      }
    }
    EXPECT_EQ(found->second.series.size(), theirs.series.size());
  }
  EXPECT_GT(compared, 150u);
  for (const auto& [name, family] : ours) {
    EXPECT_TRUE(absl::StartsWith(name, "fleet_") || after.count(name)) << name;
  }
}

TEST_F(PostgresExporterTest, BothSayTheSameOfAPrimaryAndItsStandby) {
  PostgresCluster primary("archive_mode = on\narchive_command = 'true'\nwal_level = logical\n");
  primary.Start();
  primary.Sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;");
  primary.Sql("CREATE DATABASE mastodon;");
  primary.Sql("SELECT pg_create_physical_replication_slot('standby1');");
  primary.Sql("SELECT pg_create_logical_replication_slot('logical', 'test_decoding');", "mastodon");
  primary.Sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a; SELECT pg_switch_wal();",
              "mastodon");
  PostgresCluster standby(primary, "standby1");
  standby.Start();
  ASSERT_TRUE(WaitFor([&] {
    return primary.Sql(
               "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND "
               "replay_lsn = pg_current_wal_lsn();") == "1\n";
  }));
  Compare(primary);
  Compare(standby);
}

/// CPU time in milliseconds that the backends of `application` have used, by process.
std::map<std::string, double> BackendCpu(const PostgresCluster& cluster,
                                         absl::string_view condition) {
  std::map<std::string, double> used;
  const std::string pids =
      cluster.Sql(absl::StrCat("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client "
                               "backend' AND usename = 'fleet' AND ",
                               condition));
  for (const absl::string_view pid : absl::StrSplit(pids, '\n', absl::SkipEmpty())) {
    const std::string stat = test::ReadFile(absl::StrCat("/proc/", pid, "/schedstat"));
    double ns = 0;
    if (absl::SimpleAtod(stat.substr(0, stat.find(' ')), &ns)) used[std::string(pid)] = ns / 1e6;
  }
  return used;
}

TEST_F(PostgresExporterTest, CostsTheServerAFifthOfTheExporterAtMost) {
  PostgresCluster cluster;
  cluster.Start();
  cluster.Sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;");
  const Exporter exporter(cluster);
  CheckRunner runner{HostFs("/")};
  runner.UseRealClock();
  runner.options().postgres.servers.push_back(
      {.name = {}, .dsn = cluster.dsn(), .password_file = {}});
  const std::unique_ptr<Check> check = MakePostgresCheck(runner.env());
  const auto cost = [&](absl::string_view whose, const std::function<void()>& once) {
    for (int i = 0; i < 5; ++i) once();  // connections, plans and caches are there
    const auto before = BackendCpu(cluster, whose);
    for (int i = 0; i < 10; ++i) once();
    double spent = 0;
    for (const auto& [pid, ms] : BackendCpu(cluster, whose)) {
      if (before.count(pid)) spent += ms - before.at(pid);
    }
    return spent / 10;
  };
  const double theirs = cost("application_name <> 'fleet-agent'", [&] { exporter.Scrape(); });
  const double ours = cost("application_name = 'fleet-agent'", [&] { runner.Run(*check); });
  RecordProperty("exporter_ms", absl::StrCat(theirs));
  RecordProperty("fleet_ms", absl::StrCat(ours));
  std::printf("backend CPU per cycle: postgres_exporter %.2f ms, fleet %.2f ms\n", theirs, ours);
  EXPECT_GT(ours, 0);
  EXPECT_LE(ours, theirs / 5);
}

}  // namespace
}  // namespace fleet::agent
