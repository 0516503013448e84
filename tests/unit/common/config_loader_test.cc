#include "common/config_loader.h"

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "fleet/v1/agent_config.pb.h"
#include "fleet/v1/collector_config.pb.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::fleet::test::TempDir;
using ::fleet::test::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(ConfigLoaderTest, ReadsUnitsListsMapsAndShortForms) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadText(R"(
collector: 10.235.0.4:10235
interval: 10s
checks:
  minio: off
  disk: {warn: 85%, crit: 0.95, interval: 1m, ignore: [/mnt/a, /mnt/b]}
  tinc: {peers: [tempo, {name: parasect, address: 10.235.0.3}]}
  postgres:
    servers:
      - "host=/run/postgresql"
)",
                  "agent.yaml", config);
  EXPECT_EQ(loader.Problems(), "");
  EXPECT_THAT(config.collector(), ElementsAre("10.235.0.4:10235"));
  EXPECT_EQ(config.interval(), 10);
  EXPECT_FALSE(config.checks().minio().schedule().enabled());
  EXPECT_EQ(config.checks().disk().warn(), 0.85);
  EXPECT_EQ(config.checks().disk().schedule().interval(), 60);
  EXPECT_THAT(config.checks().disk().ignore(), ElementsAre("/mnt/a", "/mnt/b"));
  EXPECT_EQ(config.checks().tinc().peers(0).name(), "tempo");
  EXPECT_EQ(config.checks().tinc().peers(1).address(), "10.235.0.3");
  EXPECT_EQ(config.checks().postgres().servers(0).dsn(), "host=/run/postgresql");

  v1::CollectorConfig collector;
  loader.LoadText("hosts: {parasect: {parent: tempo/tinc/parasect}}", "collector.yaml", collector);
  EXPECT_EQ(collector.hosts().at("parasect").parent(), "tempo/tinc/parasect");
}

TEST(ConfigLoaderTest, SaysEverythingThatIsWrongAtOnce) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadText(R"(interval: 10
colector: x
checks:
  disk:
    warn: 850%
    warn: 80%
    ignore: {a: b}
  sidekiq: {database: -1}
  load: [1]
insecure: perhaps
)",
                  "agent.yaml", config);
  std::vector<std::string> lines;
  for (const ConfigProblem& problem : loader.problems()) lines.push_back(problem.ToString());
  EXPECT_THAT(
      lines,
      ElementsAre(
          R"(agent.yaml:1: interval: expected a duration such as 10s, 5m or 1h30m, got "10")",
          R"(agent.yaml:2: colector: unknown key; did you mean "collector"?)",
          R"(agent.yaml:5: checks.disk.warn: expected a ratio such as 85% or 0.85, got "850%")",
          "agent.yaml:6: checks.disk.warn: stands here twice",
          "agent.yaml:7: checks.disk.ignore: expected a text",
          R"(agent.yaml:8: checks.sidekiq.database: expected a whole number from 0, got "-1")",
          "agent.yaml:9: checks.load: expected a map of keys",
          R"(agent.yaml:10: insecure: expected true or false, got "perhaps")"));
}

TEST(ConfigLoaderTest, SurvivesTextThatIsNoYaml) {
  for (const char* text : {"a: [", "\t\tx: y", "a: b: c", "--- a\n--- b", "&a [*a]", "- 1", "x",
                           "{a", "a: &b {c: *b}", "\"", "? [a]\n: b", "!!binary x: y"}) {
    SCOPED_TRACE(text);
    ConfigLoader loader;
    v1::AgentConfig config;
    loader.LoadText(text, "agent.yaml", config);
    ASSERT_FALSE(loader.problems().empty());
    EXPECT_THAT(loader.Problems(), StartsWith("agent.yaml"));
  }
}

TEST(ConfigLoaderTest, RefusesWhatIsNoText) {
  using std::string_literals::operator""s;
  for (const std::string& text :
       {"\0\0\0,\0\0\0\0r: [a:0]"s, "host: a\ninterval: \xFF\xFE"s, "a\0:\0 \0"s}) {
    ConfigLoader loader;
    v1::AgentConfig config;
    loader.LoadText(text, "agent.yaml", config);
    ASSERT_THAT(loader.problems(), SizeIs(1)) << absl::CHexEscape(text);
    EXPECT_EQ(loader.problems()[0].message, "expected text in UTF-8");
  }
}

/// What is wrong with a text, as people see it.
std::string ProblemsOf(const std::string& text) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadText(text, "a.yaml", config);
  return loader.Problems();
}

TEST(ConfigLoaderTest, WantsOneDocument) {
  EXPECT_EQ(ProblemsOf(""), "");
  EXPECT_EQ(ProblemsOf("# nothing\n---\ninterval: 10s\n...\n"), "");
  EXPECT_EQ(ProblemsOf("interval: 10s\n---\ninterval: 11s\n---\n"),
            "a.yaml:2: expected one YAML document, here another begins");
}

TEST(ConfigLoaderTest, RefusesNumbersThatNothingHolds) {
  const std::string many(300, '1');
  EXPECT_THAT(ProblemsOf("interval: " + many + "s\n"),
              StartsWith("a.yaml:1: interval: expected a duration such as 10s"));
  for (const std::string& number : {many, std::string("1e299"), std::string("9007199254740994")}) {
    EXPECT_THAT(ProblemsOf("checks: {sidekiq: {database: " + number + "}}"),
                StartsWith("a.yaml:1: checks.sidekiq.database: expected a whole number"))
        << number;
  }
}

TEST(ConfigLoaderTest, EndsWhereNoDocumentCanBegin) {
  // yaml-cpp goes no further at some of these.
  for (const char c : std::string(",]}-?:|>&*!%@`'\"{[#~=<")) {
    for (const char* rest : {"", " ", "\n", "a: 1\n", " a: 1\ninterval: 10s\n"}) {
      const std::string text = std::string(1, c) + rest;
      EXPECT_LE(ProblemsOf(text).size(), 500u) << text;
    }
  }
  EXPECT_EQ(ProblemsOf("# one\n,interval: 10s\n"), "a.yaml:2: expected a key");
}

TEST(ConfigLoaderTest, NamesAFileThatCannotBeRead) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadFile("/nonexistent/agent.yaml", config);
  EXPECT_THAT(loader.Problems(), HasSubstr("open /nonexistent/agent.yaml: No such file"));
}

TEST(ConfigLoaderTest, PutsACallersProblemAtTheFieldsLine) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadText("interval: 10s\nchecks:\n  redis:\n    password_file: /x\n", "a.yaml", config);
  loader.AddProblem("checks.redis.password_file", "cannot be read");
  loader.AddProblem("checks.redis.address", "is missing");
  EXPECT_EQ(loader.Problems(),
            "a.yaml:4: checks.redis.password_file: cannot be read\n"
            "a.yaml:3: checks.redis.address: is missing");
}

TEST(ReadSecretFileTest, TrimsTheFinalNewlineAndRefusesNothing) {
  const TempDir dir;
  WriteFile(dir / "secret", " s3cret \n");
  WriteFile(dir / "empty", "\n");
  EXPECT_THAT(ReadSecretFile(dir / "secret"), IsOkAnd(" s3cret "));
  EXPECT_THAT(ReadSecretFile(dir / "empty"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadSecretFile(dir / "none"), HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet
