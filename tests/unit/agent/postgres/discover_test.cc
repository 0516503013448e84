#include "agent/postgres/discover.h"

#include "agent/postgres/session.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Dsns(const Listening& listening) {
  std::vector<std::string> dsns;
  for (const PostgresServer& server : DiscoverPostgres(listening)) dsns.push_back(server.dsn);
  return dsns;
}

TEST(DiscoverPostgresTest, FindsEachServerOnce) {
  EXPECT_THAT(
      Dsns({.tcp = {{"127.0.0.1", 5432}, {"10.235.0.4", 5432}, {"10.235.0.4", 5434}, {"::", 5435}},
            .unix_paths = {"/run/postgresql/.s.PGSQL.5432", "/run/postgresql/.s.PGSQL.5433",
                           "/tmp/.s.PGSQL.5432"}}),
      ElementsAre("host='/run/postgresql' port=5432", "host='/run/postgresql' port=5433",
                  "host='10.235.0.4' port=5434", "host='::1' port=5435"));
}

TEST(DiscoverPostgresTest, PrefersLoopbackAndKnowsEveryAddress) {
  EXPECT_THAT(Dsns({.tcp = {{"10.0.0.1", 5432}, {"127.0.0.1", 5432}}, .unix_paths = {}}),
              ElementsAre("host='127.0.0.1' port=5432"));
  EXPECT_THAT(Dsns({.tcp = {{"0.0.0.0", 5440}}, .unix_paths = {}}),
              ElementsAre("host='127.0.0.1' port=5440"));
}

TEST(DiscoverPostgresTest, LooksAtNothingElse) {
  EXPECT_THAT(Dsns({.tcp = {{"127.0.0.1", 5431}, {"127.0.0.1", 5441}, {"127.0.0.1", 6379}},
                    .unix_paths = {"/run/redis.sock", "/run/postgresql/.s.PGSQL.x",
                                   "/run/.s.PGSQL.99999999999", ".s.PGSQL.5432"}}),
              IsEmpty());
}

TEST(DiscoverPostgresTest, QuotesADirectoryForLibpq) {
  const auto dsns = Dsns({.tcp = {}, .unix_paths = {"/tmp/it's \\x/.s.PGSQL.5432"}});
  ASSERT_EQ(dsns.size(), 1u);
  const auto address = ParsePgDsn(dsns[0]);
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->host, "/tmp/it's \\x");
}

TEST(PostgresServerNameTest, ReadsAsPostgresExportersLabelDoes) {
  const std::pair<std::string, std::string> cases[] = {
      {"host=/run/postgresql port=5433", "/run/postgresql:5433"},
      {"postgresql://fleet@127.0.0.1:5432/postgres?sslmode=disable", "127.0.0.1:5432"},
      {"dbname=x", "localhost:5432"},
      {"host=10.235.0.4", "10.235.0.4:5432"},
  };
  for (const auto& [dsn, name] : cases) {
    EXPECT_EQ(PostgresServerName({.name = {}, .dsn = dsn, .password_file = {}}), name);
  }
  EXPECT_EQ(PostgresServerName({.name = "main", .dsn = "host=x", .password_file = {}}), "main");
}

TEST(ParsePgDsnTest, RejectsMalformedTextInLibpqsWords) {
  for (const char* dsn :
       {"host", "host='x", "hots=x", "=x", "postgresql://[::1", "port=1 nonsense"}) {
    SCOPED_TRACE(dsn);
    EXPECT_THAT(ParsePgDsn(dsn), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParsePgDsnTest, FillsInWhatIsLeftOut) {
  const auto address = ParsePgDsn("host=/run/postgresql");
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->user, "fleet");
  EXPECT_EQ(address->database, "postgres");
  EXPECT_EQ(address->port, "5432");
}

}  // namespace
}  // namespace fleet::agent
