#include "agent/postgres/emit.h"

#include "absl/strings/match.h"
#include "agent/postgres/metrics.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/pg_table.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::Fixture;
using ::fleet::test::MakePgTable;
using ::fleet::test::PsqlTable;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// The lines of families that start with `prefix`.
std::vector<std::string> Emitted(const PgAnswers& answers, absl::string_view prefix) {
  test::FakeClock clock;
  CheckMemory memory;
  CheckRun run(kPgMetrics, clock, clock.SteadyNow(), memory, false);
  EmitPostgres(answers, "s:1", run);
  std::vector<std::string> lines;
  for (std::string& line : ExpositionLines(run.report().samples)) {
    if (absl::StartsWith(line, prefix)) lines.push_back(std::move(line));
  }
  return lines;
}

PgAnswers OneDatabase() {
  PgAnswers answers;
  answers.Set("databases", MakePgTable({"datid", "datname", "xact_commit", "checksum_failures",
                                        "confl_lock", "xid_age"},
                                       {{"0", "", "1", std::nullopt, std::nullopt, std::nullopt},
                                        {"5", "m", "7", "2", "3", "44"}}));
  return answers;
}

TEST(EmitPostgresTest, DatabasesAsTheExporterHasThem) {
  EXPECT_THAT(
      Emitted(OneDatabase(), ""),
      ElementsAre(R"(pg_stat_database_checksum_failures{datid="0",datname="",server="s:1"} NaN)",
                  R"(pg_stat_database_checksum_failures{datid="5",datname="m",server="s:1"} 2)",
                  R"(pg_stat_database_xact_commit{datid="0",datname="",server="s:1"} 1)",
                  R"(pg_stat_database_xact_commit{datid="5",datname="m",server="s:1"} 7)",
                  R"(pg_stat_database_conflicts_confl_lock{datid="5",datname="m",server="s:1"} 3)",
                  R"(fleet_postgres_xid_age{datname="m",server="s:1"} 44)"));
}

TEST(EmitPostgresTest, LocksNobodyHoldsAreZero) {
  PgAnswers answers = OneDatabase();
  answers.Set("locks", MakePgTable({"datid", "mode", "count"},
                                   {{"5", "sharelock", "3"}, {"0", "exclusivelock", "9"}}));
  const std::vector<std::string> lines = Emitted(answers, "pg_locks_count");
  EXPECT_EQ(lines.size(), 9u);
  EXPECT_THAT(lines, Contains(R"(pg_locks_count{datname="m",mode="sharelock",server="s:1"} 3)"));
  EXPECT_THAT(lines,
              Contains(R"(pg_locks_count{datname="m",mode="exclusivelock",server="s:1"} 0)"));
}

TEST(EmitPostgresTest, SessionsOfAllKindsAddUpByState) {
  PgAnswers answers = OneDatabase();
  answers.Set("sessions",
              MakePgTable({"datid", "backend_type", "state", "count", "waiting", "max_xact_s"},
                          {{"5", "client backend", "active", "2", "1", "4.5"},
                           {"5", "parallel worker", "active", "3", "0", "9"},
                           {std::nullopt, "checkpointer", std::nullopt, "1", "0", std::nullopt}}));
  EXPECT_THAT(
      Emitted(answers, "pg_stat_activity_"),
      AllOf(Contains(R"(pg_stat_activity_count{datname="m",server="s:1",state="active"} 5)"),
            Contains(R"(pg_stat_activity_count{datname="m",server="s:1",state="disabled"} 0)"),
            Contains(
                R"(pg_stat_activity_max_tx_duration{datname="m",server="s:1",state="active"} 9)")));
  EXPECT_THAT(Emitted(answers, "fleet_postgres_connections"),
              ElementsAre(R"(fleet_postgres_connections{server="s:1"} 2)"));
}

TEST(EmitPostgresTest, VersionsAndLimits) {
  PgAnswers answers;
  answers.Set("server",
              MakePgTable({"version", "max_connections", "superuser_reserved", "reserved"},
                          {{"PostgreSQL 17beta1 x", "100", "3", "5"}}));
  EXPECT_THAT(Emitted(answers, ""),
              ElementsAre(R"(pg_settings_max_connections{server="s:1"} 100)",
                          R"(pg_static{server="s:1",short_version="17.0.0",)"
                          R"(version="PostgreSQL 17beta1 x"} 1)",
                          R"(fleet_postgres_connections_max{server="s:1"} 92)",
                          R"(fleet_postgres_oldest_prepared_transaction_seconds{server="s:1"} 0)"));
}

TEST(EmitPostgresTest, SlowAnswersCarryTheirAge) {
  PgAnswers answers;
  answers.Set("sizes", MakePgTable({"datname", "bytes"}, {{"m", "42"}, {"hidden", std::nullopt}}),
              absl::Seconds(90), true);
  EXPECT_THAT(Emitted(answers, ""),
              ElementsAre(R"(pg_database_size_bytes{datname="m",server="s:1"} 42)",
                          R"(fleet_postgres_group_age_seconds{group="sizes",server="s:1"} 90)"));
}

TEST(EmitPostgresTest, ServersOfEveryRecordingEmitWhatTheyHave) {
  for (const char* name : {"pg15-primary-pg_monitor.txt", "pg17-pg_monitor.txt"}) {
    SCOPED_TRACE(name);
    PgAnswers answers;
    answers.Set("bgwriter", PsqlTable(Fixture(absl::StrCat("postgres/", name)), "checkpoints"));
    const bool fifteen = absl::StartsWith(name, "pg15");
    EXPECT_EQ(Emitted(answers, "pg_stat_bgwriter_").size(), fifteen ? 10u : 0u);
  }
  EXPECT_THAT(Emitted(PgAnswers(), ""), IsEmpty());
}

}  // namespace
}  // namespace fleet::agent
