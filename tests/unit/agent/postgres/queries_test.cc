#include "agent/postgres/queries.h"

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The statement of a group for a server version; empty when it has none.
std::string Sql(absl::string_view name, int version) {
  for (const PgQuery* const query : PgQueriesFor(version)) {
    if (query->name == name) return std::string(query->sql);
  }
  return "";
}

constexpr int kVersions[] = {110000, 110022, 120022, 130018, 140015,
                             150020, 160010, 170005, 180001};

TEST(PgQueriesTest, EveryVersionHasEachGroupAtMostOnceAndLocksFirst) {
  for (const int version : kVersions) {
    SCOPED_TRACE(version);
    std::set<absl::string_view> names;
    for (const PgQuery* const query : PgQueriesFor(version)) {
      EXPECT_TRUE(names.insert(query->name).second) << query->name;
    }
    EXPECT_EQ(PgQueriesFor(version).front()->name, "locks");
    for (const absl::string_view name : {"sessions", "server", "databases", "archiver", "bgwriter",
                                         "replication", "slots", "standby", "sizes", "wal"}) {
      EXPECT_TRUE(names.count(name)) << name;
    }
  }
}

TEST(PgQueriesTest, AsksNoVersionForWhatItDoesNotHave) {
  const struct {
    absl::string_view group, words;
    int since;  // first version that has them
  } cases[] = {
      {"databases", "checksum_failures", 120000},
      {"databases", "sessions_killed", 140000},
      {"replication", "reply_time", 120000},
      {"slots", "wal_status", 130000},
      {"bgwriter", "pg_stat_checkpointer", 170000},
      {"base_backup", "basebackup", 130000},
      {"archive_backlog", "pg_ls_archive_statusdir", 120000},
  };
  for (const auto& test : cases) {
    for (const int version : kVersions) {
      SCOPED_TRACE(absl::StrCat(test.words, " on ", version));
      const bool asked = absl::StrContains(Sql(test.group, version), test.words);
      EXPECT_EQ(asked, version >= test.since);
    }
  }
  EXPECT_THAT(Sql("bgwriter", 160000), HasSubstr("buffers_backend"));
  EXPECT_THAT(Sql("bgwriter", 170000), Not(HasSubstr("buffers_backend")));
  EXPECT_THAT(PgBlockedSql(140000), HasSubstr("waitstart"));
  EXPECT_THAT(PgBlockedSql(130000), Not(HasSubstr("waitstart")));
}

TEST(PgQueriesTest, NamesEveryColumn) {
  for (const PgQuery& query : AllPgQueries()) {
    EXPECT_THAT(std::string(query.sql), Not(HasSubstr("SELECT *"))) << query.name;
    EXPECT_LT(query.since, query.until) << query.name;
  }
}

TEST(PgQueriesTest, RangesOfOneGroupMeetWithoutGap) {
  std::map<absl::string_view, int> until;
  for (const PgQuery& query : AllPgQueries()) {
    const auto [found, first] = until.emplace(query.name, query.until);
    if (first) continue;
    EXPECT_EQ(query.since, found->second) << query.name;
    found->second = query.until;
  }
  for (const auto& [name, end] : until) EXPECT_EQ(end, INT_MAX) << name;
}

}  // namespace
}  // namespace fleet::agent
