#include "collector/database.h"

#include <sys/stat.h>

#include "common/status_macros.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kFirst = "CREATE TABLE names(name TEXT PRIMARY KEY, size INTEGER) STRICT";
constexpr const char* kSecond =
    "ALTER TABLE names ADD COLUMN note TEXT; UPDATE names SET note = 'old';";

std::unique_ptr<Database> Open(const std::string& path,
                               std::initializer_list<const char*> migrations = {kFirst}) {
  auto database =
      Database::Open(path, Database::Sync::kFull,
                     absl::Span<const char* const>(migrations.begin(), migrations.size()));
  EXPECT_THAT(database, IsOk());
  return database.ok() ? *std::move(database) : nullptr;
}

std::vector<std::string> Names(Database& database) {
  std::vector<std::string> names;
  EXPECT_THAT(database.Query("SELECT name FROM names ORDER BY name", {},
                             [&](const SqlRow& row) { names.push_back(row.Text(0)); }),
              IsOk());
  return names;
}

TEST(DatabaseTest, KeepsValuesAsTheyWere) {
  auto database = Open("", {"CREATE TABLE kept(a, b, c, d, e, f)"});
  const absl::Time time = absl::FromUnixMicros(1'700'000'000'123'456);
  const std::string bytes("a\0'\"b", 5);
  EXPECT_THAT(database->Run("INSERT INTO kept VALUES(?, ?, ?, ?, ?, ?)",
                            {int64_t{1} << 60, 0.1, bytes, time, nullptr, ""}),
              IsOkAnd(1));
  EXPECT_EQ(database->last_insert_id(), 1);
  int rows = 0;
  EXPECT_THAT(database->Query("SELECT * FROM kept", {},
                              [&](const SqlRow& row) {
                                ++rows;
                                EXPECT_EQ(row.Int(0), int64_t{1} << 60);
                                EXPECT_EQ(row.Double(1), 0.1);
                                EXPECT_EQ(row.Text(2), bytes);
                                EXPECT_EQ(row.Time(3), time);
                                EXPECT_TRUE(row.IsNull(4));
                                EXPECT_EQ(row.Time(4), absl::InfinitePast());
                                EXPECT_FALSE(row.IsNull(5));
                                EXPECT_EQ(row.Text(5), "");
                              }),
              IsOk());
  EXPECT_EQ(rows, 1);
}

TEST(DatabaseTest, AFileOutlivesItsObjectAndIsPrivate) {
  test::TempDir dir;
  const std::string path = dir / "kept.db";
  EXPECT_THAT(Open(path)->Run("INSERT INTO names VALUES('tempo', 1)"), IsOk());
  auto again = Open(path);
  EXPECT_THAT(Names(*again), ElementsAre("tempo"));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info = {};
    ASSERT_EQ(::stat((path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777u, 0600u) << suffix;
  }
}

TEST(DatabaseTest, MigratesOnceAndKeepsWhatIsThere) {
  test::TempDir dir;
  const std::string path = dir / "kept.db";
  EXPECT_THAT(Open(path)->Run("INSERT INTO names VALUES('tempo', 1)"), IsOk());
  for (int start = 0; start < 2; ++start) {
    auto database = Open(path, {kFirst, kSecond});
    std::string note;
    EXPECT_THAT(database->Query("SELECT note FROM names", {},
                                [&](const SqlRow& row) { note = row.Text(0); }),
                IsOk());
    EXPECT_EQ(note, "old");
  }
}

TEST(DatabaseTest, AMigrationThatFailsChangesNothing) {
  test::TempDir dir;
  const std::string path = dir / "kept.db";
  Open(path);
  const char* bad[] = {kFirst, "CREATE TABLE half(a); nonsense"};
  EXPECT_THAT(Database::Open(path, Database::Sync::kFull, bad),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("nonsense")));
  Open(path, {kFirst, "CREATE TABLE half(a)"});
}

TEST(DatabaseTest, RefusesTheFileOfANewerFleet) {
  test::TempDir dir;
  const std::string path = dir / "kept.db";
  Open(path, {kFirst, kSecond});
  const char* older[] = {kFirst};
  EXPECT_THAT(Database::Open(path, Database::Sync::kFull, older),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
}

TEST(DatabaseTest, WhatIsNotCommittedNeverWas) {
  auto database = Open("");
  {
    auto transaction = Database::Transaction::Begin(*database);
    ASSERT_THAT(transaction, IsOk());
    EXPECT_THAT(database->Run("INSERT INTO names VALUES('lost', 1)"), IsOk());
  }
  EXPECT_THAT(Names(*database), ElementsAre());
  auto transaction = Database::Transaction::Begin(*database);
  ASSERT_THAT(transaction, IsOk());
  EXPECT_THAT(database->Run("INSERT INTO names VALUES('kept', 1)"), IsOk());
  EXPECT_THAT(transaction->Commit(), IsOk());
  EXPECT_THAT(Names(*database), ElementsAre("kept"));
}

TEST(DatabaseTest, ErrorsHaveTheirCodes) {
  test::TempDir dir;
  auto database = Open("");
  EXPECT_THAT(database->Run("INSERT INTO names VALUES('tempo', 1)"), IsOkAnd(1));
  EXPECT_THAT(database->Run("INSERT INTO names VALUES('tempo', 2)"),
              HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(database->Run("UPDATE names SET size = 3 WHERE name = ?", {"tempo"}), IsOkAnd(1));
  EXPECT_THAT(database->Run("UPDATE names SET size = 3 WHERE name = ?", {"nobody"}), IsOkAnd(0));
  EXPECT_THAT(Database::Open(dir / "no/such/dir.db", Database::Sync::kFull, {}),
              HasCode(absl::StatusCode::kNotFound));
  test::WriteFile(dir / "text.db", std::string(4096, 'x'));
  EXPECT_THAT(Database::Open(dir / "text.db", Database::Sync::kFull, {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("text.db")));
}

}  // namespace
}  // namespace fleet::collector
