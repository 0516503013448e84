#include "agent/postgres/advice.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::testing::HasSubstr;
using ::testing::Optional;

const PgAddress kSocket = {"/run/postgresql", "5432", "fleet", "postgres"};
const PgAddress kTcp = {"127.0.0.1", "5432", "fleet", "postgres"};

const char* const kCreate = "CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;";
const char* const kCreateWithPassword =
    "CREATE ROLE fleet LOGIN PASSWORD '…'; GRANT pg_monitor TO fleet;";

TEST(PgAdviceTest, EachRefusalNamesTheLinesThatHelp) {
  const struct {
    absl::string_view sqlstate, message;
    PgAddress address;
    absl::string_view user;
    std::vector<std::string> expected;
  } cases[] = {
      {"28000", "role \"fleet\" does not exist", kSocket, "fleet", {kCreate}},
      {"28000",
       "Peer authentication failed for user \"fleet\"",
       kSocket,
       "root",
       {kCreate, "'local postgres fleet peer map=fleet'", "'fleet root fleet'", "pg_ident.conf",
        "SELECT pg_reload_conf();"}},
      {"28000", "Peer authentication failed for user \"fleet\"", kSocket, "fleet", {kCreate}},
      {"28000",
       "no pg_hba.conf entry for host \"127.0.0.1\", user \"fleet\"",
       kTcp,
       "root",
       {kCreateWithPassword, "'host postgres fleet samehost scram-sha-256'"}},
      {"28000",
       "pg_hba.conf rejects connection for host \"[local]\"",
       kSocket,
       "root",
       {kCreate, "'local postgres fleet peer'"}},
      {"28P01",
       "password authentication failed for user \"fleet\"",
       kTcp,
       "root",
       {kCreateWithPassword, "password_file"}},
      {"28000",
       "role \"fleet\" is not permitted to log in",
       kTcp,
       "root",
       {"ALTER ROLE fleet LOGIN;"}},
      {"3D000",
       "database \"postgres\" does not exist",
       kTcp,
       "root",
       {"CREATE DATABASE postgres;", "checks.postgres.dsn"}},
      {"42501",
       "permission denied for database \"postgres\"",
       kTcp,
       "root",
       {"GRANT CONNECT ON DATABASE postgres TO fleet;"}},
      {"42501",
       "permission denied for view pg_stat_archiver",
       kTcp,
       "root",
       {"GRANT SELECT ON pg_stat_archiver TO fleet;"}},
      {"42501",
       "permission denied for function pg_ls_waldir",
       kTcp,
       "root",
       {"GRANT pg_monitor TO fleet;"}},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.message);
    const absl::Status error = PgError(test.sqlstate, test.message);
    EXPECT_THAT(error, HasCode(absl::StatusCode::kPermissionDenied));
    const auto reason = PgBlindReason(error, test.address, test.user);
    ASSERT_TRUE(reason.has_value());
    for (const std::string& words : test.expected) EXPECT_THAT(*reason, HasSubstr(words));
  }
}

TEST(PgAdviceTest, QuotesARoleThatIsNoPlainWord) {
  PgAddress address = kSocket;
  address.user = "Fleet \"x\"";
  EXPECT_THAT(PgBlindReason(PgError("28000", "role does not exist"), address, "root"),
              Optional(HasSubstr(R"(CREATE ROLE "Fleet ""x""" LOGIN;)")));
  EXPECT_EQ(PgIdentifier("fleet_1"), "fleet_1");
  EXPECT_EQ(PgIdentifier("1"), "\"1\"");
  EXPECT_EQ(PgIdentifier(""), "\"\"");
}

TEST(PgAdviceTest, OtherFailuresAreNotAboutRights) {
  EXPECT_EQ(PgBlindReason(PgError("53300", "sorry, too many clients already"), kTcp, "root"),
            std::nullopt);
  EXPECT_EQ(PgBlindReason(absl::UnavailableError("connection refused"), kTcp, "root"),
            std::nullopt);
  EXPECT_EQ(PgBlindReason(absl::PermissionDeniedError("password_file /x: no"), kTcp, "root"),
            "password_file /x: no");
}

TEST(PgAdviceTest, SaturationSaysHowManyAndThatTheServerRuns) {
  const absl::Status error = PgError("53300", "sorry, too many clients already");
  EXPECT_EQ(PgDownReason(error, 97),
            "saturated: all 97 connections are taken (sorry, too many clients already); the server "
            "runs, but nobody new gets in");
  EXPECT_THAT(PgDownReason(error, std::nullopt), HasSubstr("all connections are taken"));
  EXPECT_EQ(PgDownReason(PgError("57P03", "the database system is starting up"), 97),
            "not serving yet: the database system is starting up");
}

TEST(PgErrorTest, KnowsWhatASqlstateStandsFor) {
  const std::pair<absl::string_view, absl::StatusCode> cases[] = {
      {"53300", absl::StatusCode::kResourceExhausted},
      {"57014", absl::StatusCode::kDeadlineExceeded},
      {"57P03", absl::StatusCode::kUnavailable},
      {"57P01", absl::StatusCode::kUnavailable},
      {"08006", absl::StatusCode::kUnavailable},
      {"42P01", absl::StatusCode::kUnimplemented},
      {"42703", absl::StatusCode::kUnimplemented},
      {"42501", absl::StatusCode::kPermissionDenied},
      {"XX001", absl::StatusCode::kDataLoss},
      {"22012", absl::StatusCode::kInternal},
  };
  for (const auto& [sqlstate, code] : cases) {
    SCOPED_TRACE(sqlstate);
    const absl::Status status = PgError(sqlstate, "says\nthe \"server\"");
    EXPECT_THAT(status, HasCode(code));
    EXPECT_EQ(status.message(), "says the server");
    EXPECT_EQ(Sqlstate(status), sqlstate);
  }
  EXPECT_EQ(Sqlstate(absl::InternalError("ours")), "");
}

}  // namespace
}  // namespace fleet::agent
