#include "agent/postgres/judge.h"

#include "tests/support/matchers.h"
#include "tests/support/pg_table.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::Fixture;
using ::fleet::test::MakePgTable;
using ::fleet::test::PgCells;
using ::fleet::test::PsqlTable;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const absl::Time kNow = absl::FromUnixSeconds(1'795'454'000);

class JudgeTest : public ::testing::Test {
 protected:
  /// Items as "name verdict reason".
  std::vector<std::string> Items(const PgAnswers& answers, absl::Duration later = {}) {
    PgSince since(memory_, "since/x/", kNow + later);
    std::vector<std::string> lines;
    for (const Item& item : JudgePostgres(answers, options_, since)) {
      lines.push_back(absl::StrCat(item.name, " ", VerdictName(item.verdict), " ", item.reason));
    }
    since.Sweep();
    return lines;
  }
  /// All but the server's own.
  std::vector<std::string> Findings(const PgAnswers& answers, absl::Duration later = {}) {
    std::vector<std::string> lines = Items(answers, later);
    lines.erase(lines.begin());
    return lines;
  }

  PostgresOptions options_;
  CheckMemory memory_;
};

PgAnswers Recorded(const std::string& name) {
  const std::string text = Fixture("postgres/" + name);
  PgAnswers answers;
  answers.Set("sessions", PsqlTable(text, "activity by state"));
  if (name != "pg15-plain-role.txt") answers.Set("databases", PsqlTable(text, "database"));
  answers.Set("replication", PsqlTable(text, "replication (primary)"));
  answers.Set("slots", PsqlTable(text, "slots"));
  answers.Set("archiver", PsqlTable(text, "archiver"));
  return answers;
}

PgAnswers& WithServer(PgAnswers& answers, const char* max_connections = "20",
                      const char* monitor = "t") {
  answers.Set("server",
              MakePgTable({"version", "role", "in_recovery", "max_connections",
                           "superuser_reserved", "reserved", "autovacuum", "freeze_max_age",
                           "archive_mode", "monitor", "prepared", "prepared_s"},
                          {{"PostgreSQL 15.18 (Debian)", "fleet", "f", max_connections, "3",
                            std::nullopt, "on", "200000000", "on", monitor, "0", std::nullopt}}));
  return answers;
}

PgAnswers Sessions(const std::vector<PgCells>& rows) {
  PgAnswers answers;
  answers.Set("sessions", MakePgTable({"datid", "backend_type", "state", "count", "waiting",
                                       "max_xact_s", "max_idle_in_xact_s"},
                                      rows));
  return answers;
}

TEST_F(JudgeTest, ARecordedPrimaryIsFine) {
  PgAnswers answers = Recorded("pg15-primary-pg_monitor.txt");
  EXPECT_THAT(Items(WithServer(answers)), ElementsAre(" ok 15.18 primary, 4 of 17 connections",
                                                      "standby walreceiver ok async, 0 B behind",
                                                      "slot standby1 ok holds back 0 B of WAL"));
}

TEST_F(JudgeTest, ARecordedStandbyAndAServer17AreFine) {
  PgAnswers standby = Recorded("pg15-standby-pg_monitor.txt");
  EXPECT_THAT(Findings(WithServer(standby)), IsEmpty());
  PgAnswers seventeen = Recorded("pg17-pg_monitor.txt");
  EXPECT_THAT(Findings(WithServer(seventeen, "100")), IsEmpty());
}

TEST_F(JudgeTest, WithoutPgMonitorItSaysWhatToGrantAndInventsNothing) {
  PgAnswers answers = Recorded("pg15-plain-role.txt");
  EXPECT_THAT(
      Findings(WithServer(answers, "20", "f")),
      ElementsAre("slot standby1 ok holds back 0 B of WAL",
                  AllOf(StartsWith("rights unknown"), HasSubstr("GRANT pg_monitor TO fleet;"))));
}

TEST_F(JudgeTest, CountsClientsAgainstWhatTheyMayHave) {
  const struct {
    const char* clients;
    const char* expected;
  } cases[] = {
      {"13", nullptr},
      {"14", "connections warn 14 of 17 connections taken, 14 of them idle"},
      {"17", "connections crit saturated: 17 of 17 connections taken, 17 of them idle"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.clients);
    PgAnswers answers = Sessions({{"5", "client backend", "idle", test.clients, "0", "0", "0"},
                                  {std::nullopt, "walsender", "active", "9", "0", "0", "0"}});
    WithServer(answers);
    if (test.expected == nullptr) {
      EXPECT_THAT(Findings(answers), IsEmpty());
    } else {
      EXPECT_THAT(Findings(answers), ElementsAre(test.expected));
    }
  }
}

TEST_F(JudgeTest, NamesWhoIdlesInATransaction) {
  PgAnswers answers =
      Sessions({{"5", "client backend", "idle in transaction", "1", "0", "7200", "400"}});
  WithServer(answers).Set(
      "busy", MakePgTable({"kind", "pid", "usename", "datname", "application_name", "seconds"},
                          {{"idle", "4711", "mastodon", "mastodon_production", "puma", "400"}}));
  EXPECT_THAT(Findings(answers),
              ElementsAre(AllOf(StartsWith("idle in transaction warn"), HasSubstr("for 7 min"),
                                HasSubstr("mastodon@mastodon_production (pid 4711, puma)")),
                          AllOf(StartsWith("long transaction warn"), HasSubstr("open for 2 h"))));
}

TEST_F(JudgeTest, AWalsendersLongQueryIsNoLongTransaction) {
  PgAnswers answers = Sessions({{std::nullopt, "walsender", "active", "1", "0", "90000", "0"}});
  EXPECT_THAT(Findings(WithServer(answers)), IsEmpty());
}

TEST_F(JudgeTest, NamesWhoHoldsALockAndSinceWhen) {
  PgAnswers answers = Sessions({{"5", "client backend", "active", "3", "2", "700", "0"}});
  WithServer(answers).Set(
      "blocked", MakePgTable({"pid", "usename", "datname", "waited_s", "blocker", "blocker_user",
                              "blocker_application", "blocker_state", "blocker_s"},
                             {{"1", "web", "m", "130", "4711", "admin", "psql",
                               "idle in transaction", "720"}}));
  EXPECT_THAT(Findings(answers),
              ElementsAre(AllOf(StartsWith("locks warn 2 sessions wait for a lock, longest 2 min"),
                                HasSubstr("admin@m (pid 4711, psql), idle in transaction, "
                                          "transaction open for 12 min"))));
}

PgAnswers Slot(const char* active, const char* status, const char* retained) {
  PgAnswers answers;
  answers.Set("slots", MakePgTable({"slot_name", "active", "wal_status", "retained_b"},
                                   {{"s", active, status, retained}}));
  return answers;
}

TEST_F(JudgeTest, SlotsThatHoldBackWal) {
  const struct {
    const char *active, *status, *retained, *verdict, *words;
  } cases[] = {
      {"t", "reserved", "1000", "ok", "holds back"},
      {"t", "reserved", "5000000000", "warn", "4.7 GiB"},
      {"t", "extended", "1000", "warn", "max_wal_size"},
      {"f", "reserved", "1000", "ok", "inactive, holds back"},
      {"f", "reserved", "20000000", "warn", "pg_drop_replication_slot"},
      {"f", "reserved", "50000000000", "crit", "46.6 GiB"},
      {"f", "unreserved", "1000", "crit", "about to lose"},
      {"f", "lost", "0", "crit", "lost: its WAL is gone"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(absl::StrCat(test.active, test.status, test.retained));
    memory_ = CheckMemory();
    EXPECT_THAT(Findings(Slot(test.active, test.status, test.retained)),
                ElementsAre(AllOf(StartsWith(absl::StrCat("slot s ", test.verdict, " ")),
                                  HasSubstr(test.words))));
  }
}

TEST_F(JudgeTest, AnInactiveSlotWarnsOnceItIsNoRestart) {
  const PgAnswers inactive = Slot("f", "reserved", "100");
  EXPECT_THAT(Findings(inactive), ElementsAre(StartsWith("slot s ok")));
  EXPECT_THAT(Findings(inactive, absl::Minutes(6)), ElementsAre(StartsWith("slot s warn")));
  EXPECT_THAT(Findings(Slot("t", "reserved", "0"), absl::Minutes(7)),
              ElementsAre(StartsWith("slot s ok")));
  EXPECT_THAT(memory_.entries(), IsEmpty());
  EXPECT_THAT(Findings(inactive, absl::Minutes(8)), ElementsAre(StartsWith("slot s ok")));
}

TEST_F(JudgeTest, AClockSetBackMakesNothingWorse) {
  const PgAnswers inactive = Slot("f", "reserved", "100");
  Findings(inactive, absl::Hours(2));
  EXPECT_THAT(Findings(inactive), ElementsAre(StartsWith("slot s ok")));
}

TEST_F(JudgeTest, AFailingArchiverGetsWorseWithTime) {
  PgAnswers answers;
  WithServer(answers).Set("archiver", MakePgTable({"la", "lf", "last_failed_wal", "failing"},
                                                  {{"7200", "5", "0001.backup", "t"}}));
  answers.Set("archive_backlog", MakePgTable({"ready"}, {{"7"}}));
  EXPECT_THAT(Findings(answers),
              ElementsAre(AllOf(StartsWith("archiver warn"), HasSubstr("last success 2 h ago"),
                                HasSubstr("7 files wait"))));
  EXPECT_THAT(Findings(answers, absl::Minutes(11)), ElementsAre(StartsWith("archiver crit")));
}

TEST_F(JudgeTest, AStandbyThatLosesItsPrimary) {
  PgAnswers answers;
  answers.Set("standby",
              MakePgTable({"in_recovery", "receiver", "replay_delay_s", "replay_b", "paused"},
                          {{"t", std::nullopt, "0", "0", "f"}}));
  EXPECT_THAT(Findings(answers),
              ElementsAre("replication warn does not stream from its primary: no WAL receiver"));
  EXPECT_THAT(Findings(answers, absl::Minutes(11)), ElementsAre(StartsWith("replication crit")));
}

TEST_F(JudgeTest, StandbysOfAPrimary) {
  const struct {
    PgCells row;
    const char* expected;
  } cases[] = {
      {{"walreceiver", "10.0.0.3", "streaming", "async", "100", "0.001", "3"},
       "standby walreceiver@10.0.0.3 ok async, 100 B behind"},
      {{"r", "", "streaming", "sync", "2097152", "120", "3"},
       "standby r warn sync, 2.0 MiB behind, replays 2 min late"},
      {{"r", "", "streaming", "sync", "2097152", "900", "3"}, "standby r crit sync"},
      {{"r", "", "streaming", "async", "0", std::nullopt, "300"},
       "standby r warn says nothing for 5 min"},
      {{"r", "", "catchup", "async", "1000", std::nullopt, "3"}, "standby r ok catchup"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.expected);
    PgAnswers answers;
    answers.Set("replication", MakePgTable({"application_name", "client_addr", "state",
                                            "sync_state", "replay_lag_b", "rl", "reply_age"},
                                           {test.row}));
    EXPECT_THAT(Findings(answers), ElementsAre(StartsWith(test.expected)));
  }
}

PgAnswers Database(PgCells row) {
  PgAnswers answers;
  answers.Set("databases",
              MakePgTable({"datname", "numbackends", "xid_age", "mxid_age", "datconnlimit",
                           "checksum_failures", "checksum_last_failure"},
                          {std::move(row)}));
  return answers;
}

TEST_F(JudgeTest, WhatCanBeWrongWithADatabase) {
  const std::string hour_ago = absl::StrCat(absl::ToUnixSeconds(kNow - absl::Hours(1)));
  const std::string week_ago = absl::StrCat(absl::ToUnixSeconds(kNow - absl::Hours(168)));
  const struct {
    PgCells row;
    const char* expected;
  } cases[] = {
      {{"m", "1", "1100000000", "0", "-1", "0", std::nullopt},
       "wraparound m warn oldest transaction"},
      {{"m", "1", "0", "1600000000", "-1", "0", std::nullopt},
       "wraparound m crit oldest multixact"},
      {{"m", "1", "9", "0", "-1", "2", hour_ago}, "checksums m crit 2 pages"},
      {{"m", "1", "9", "0", "-1", "2", week_ago}, "checksums m warn 2 pages"},
      {{"", "0", std::nullopt, std::nullopt, std::nullopt, "1", hour_ago},
       "checksums shared objects crit"},
      {{"m", "10", "9", "0", "10", "0", std::nullopt}, "connections m warn 10 of the 10"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.expected);
    EXPECT_THAT(Findings(Database(test.row)), ElementsAre(StartsWith(test.expected)));
  }
  EXPECT_THAT(Findings(Database({"m", "1", "9", "0", "-1", "0", std::nullopt})), IsEmpty());
}

TEST_F(JudgeTest, DeadRowsThatVacuumDoesNotReach) {
  const auto tables = [](const char* live, const char* dead) {
    PgAnswers answers;
    answers.Set("tables mastodon",
                MakePgTable({"live", "dead", "schemaname", "relname", "n_live_tup", "n_dead_tup",
                             "vacuum_s"},
                            {{live, dead, "public", "statuses", live, dead, "777600"}}));
    return answers;
  };
  EXPECT_THAT(Findings(tables("3000000", "12000000")),
              ElementsAre("vacuum mastodon warn public.statuses has 12.0 million dead rows beside "
                          "3.0 million live, last vacuumed 9 d ago"));
  EXPECT_THAT(Findings(tables("3000000", "600000")), IsEmpty());
  EXPECT_THAT(Findings(tables("3", "600")), IsEmpty());
}

TEST_F(JudgeTest, NothingKnownIsNothingSaid) {
  EXPECT_THAT(Items(PgAnswers()), ElementsAre(" ok "));
}

TEST_F(JudgeTest, KeepsAServersOddNamesOnOneLine) {
  const auto findings =
      Findings(Database({"evil\nname", "1", "1600000000", "0", "-1", "0", std::nullopt}));
  EXPECT_THAT(findings, Each(Not(HasSubstr("\n"))));
  EXPECT_THAT(findings, Contains(StartsWith("wraparound evil name crit")));
}

}  // namespace
}  // namespace fleet::agent
