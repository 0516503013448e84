#include <cstdlib>

#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::TempHost;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PostgresCheckTest, IsAbsentOnAFixtureHost) {
  const TempHost host;
  const CheckResult result = CheckRunner(host.fs()).Run(MakePostgresCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kNotFound));
  EXPECT_TRUE(result.lines().empty());
}

TEST(PostgresCheckTest, AConfiguredServerThatIsNotThereIsCrit) {
  CheckRunner runner(HostFs("/"));
  runner.options().postgres.servers = {
      {.name = "main", .dsn = "host=/nonexistent port=5432", .password_file = {}}};
  const CheckResult result = runner.Run(MakePostgresCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(result.items(), ElementsAre("main crit connection to server on socket "
                                          "/nonexistent/.s.PGSQL.5432 failed: No such file or "
                                          "directory"));
  EXPECT_THAT(result.lines(), ElementsAre(R"(fleet_postgres_up{server="main"} 0)", "pg_up 0"));
}

TEST(PostgresCheckTest, ADsnThatCannotBeReadIsOurOwnFault) {
  CheckRunner runner(HostFs("/"));
  runner.options().postgres.servers = {
      {.name = "main", .dsn = "hots=/run/postgresql", .password_file = {}}};
  const CheckResult result = runner.Run(MakePostgresCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(result.items(), ElementsAre(HasSubstr("main unknown:error invalid connection")));
}

TEST(PostgresCheckTest, AnUnreadablePasswordFileIsNamed) {
  CheckRunner runner(HostFs("/"));
  runner.options().postgres.servers = {
      {.name = "main", .dsn = "host=/nonexistent", .password_file = "/nonexistent/password"}};
  EXPECT_THAT(runner.Run(MakePostgresCheck).items(),
              ElementsAre(HasSubstr("main unknown:blind password_file /nonexistent/password")));
}

TEST(PostgresCheckTest, APasswordFileWithoutAPathIsACredential) {
  ::setenv("CREDENTIALS_DIRECTORY", "/nonexistent/credentials", 1);
  CheckRunner runner(HostFs("/"));
  runner.options().postgres.servers = {
      {.name = "main", .dsn = "host=/nonexistent", .password_file = "pg-password"}};
  EXPECT_THAT(runner.Run(MakePostgresCheck).items(),
              ElementsAre(HasSubstr("open /nonexistent/credentials/pg-password")));
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace fleet::agent
