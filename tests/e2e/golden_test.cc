// The real agent over recorded hosts, compared word for word. `UPDATE_GOLDEN=1` writes what it says
// now; read the difference before it is committed.
#include "tests/support/golden.h"

#include <re2/re2.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/checks.h"
#include "common/report.h"
#include "tests/e2e/golden_servers.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

/// The recorded hosts, below tests/fixtures/hosts.
constexpr const char* kHosts[] = {"tempo"};

/// What moves by itself although the host is a recording.
bool MovesByItself(const std::string& name) { return name == "node_time_seconds"; }

std::string Number(double value) {
  std::string text;
  AppendValue(value, text);
  return text;
}

/// A reason without how long ago something started.
std::string Still(const std::string& reason) {
  std::string still = reason;
  RE2::GlobalReplace(&still, ", up [0-9.]+ [a-z]+", ", up …");
  return still;
}

/// The JSON of `fleet-agent check`, one line per check, item and sample.
std::string Flatten(const nlohmann::json& json) {
  std::string text;
  for (const auto& check : json["checks"]) {
    absl::StrAppend(&text, check["name"].get<std::string>(), ": ",
                    check["verdict"].get<std::string>(), ": ", Still(check["reason"]), "\n");
    for (const auto& item : check["items"]) {
      absl::StrAppend(&text, "  ", item["name"].get<std::string>(), ": ",
                      item["verdict"].get<std::string>(), ": ", Still(item["reason"]), "\n");
    }
    for (const auto& sample : check["samples"]) {
      const std::string name = sample["name"];
      absl::StrAppend(&text, "    ", name);
      for (const auto& [label, value] : sample["labels"].items()) {
        absl::StrAppend(&text, " ", label, "=", value.dump());
      }
      absl::StrAppend(&text, " ",
                      MovesByItself(name) || !sample["value"].is_number()
                          ? "…"
                          : Number(sample["value"].get<double>()),
                      "\n");
    }
  }
  return text;
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, TheAgentSaysWhatWasRecorded) {
  const std::string host = absl::StrCat(FLEET_SOURCE_DIR, "/tests/fixtures/hosts/", GetParam());
  const Output output = RunProgram(
      {absl::StrCat(FLEET_BIN_DIR, "/fleet-agent"), "--root", host, "check", "-o", "json"});
  const nlohmann::json json = nlohmann::json::parse(output.text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << output.text;
  ExpectGolden(absl::StrCat("hosts/", GetParam(), ".golden"), Flatten(json));
}

class ServerGoldenTest : public ::testing::TestWithParam<ServerGolden> {};

TEST_P(ServerGoldenTest, TheCheckSaysWhatWasRecorded) {
  if (const std::string missing = GetParam().missing(); !missing.empty()) {
    GTEST_SKIP() << "needs " << missing;
  }
  ExpectGolden(GetParam().file, GetParam().run());
}

/// Whether the golden file holds a run of `check` that found what it looks for.
bool Shows(const std::string& golden, absl::string_view check) {
  const std::string text = absl::StrCat("\n", ReadFile(golden));
  return absl::StrContains(text, absl::StrCat("\n", check, ": ")) &&
         !absl::StrContains(text, absl::StrCat("\n", check, ": absent")) &&
         !absl::StrContains(text, absl::StrCat("\n", check, ": unknown:error"));
}

TEST(GoldenTableTest, EveryCheckHasAGolden) {
  const std::string fixtures = FLEET_SOURCE_DIR "/tests/fixtures/";
  for (const agent::CheckSpec& spec : agent::AllChecks()) {
    bool shown = false;
    for (const char* host : kHosts) {
      shown = shown || Shows(absl::StrCat(fixtures, "hosts/", host, ".golden"), spec.name);
    }
    for (const ServerGolden& golden : ServerGoldens()) {
      if (golden.check != spec.name) continue;
      EXPECT_TRUE(Shows(absl::StrCat(fixtures, golden.file), spec.name)) << golden.file;
      shown = true;
    }
    EXPECT_TRUE(shown) << spec.name
                       << " has no golden: a host of tests/fixtures/hosts, or an entry in "
                          "tests/e2e/golden_servers.cc";
  }
}

TEST(MetricsDocTest, IsWhatTheCodeDeclares) {
  const Output agent = RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleet-agent"), "metrics-doc"});
  const Output collector =
      RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleet-collector"), "--metrics-doc"});
  EXPECT_EQ(absl::StrCat(agent.text, collector.text), ReadFile(FLEET_SOURCE_DIR "/docs/metrics.md"))
      << "run ./dev docs and read the difference";
}

INSTANTIATE_TEST_SUITE_P(Hosts, GoldenTest, ::testing::ValuesIn(kHosts));
INSTANTIATE_TEST_SUITE_P(Servers, ServerGoldenTest,
                         ::testing::ValuesIn(ServerGoldens().begin(), ServerGoldens().end()),
                         [](const ::testing::TestParamInfo<ServerGolden>& golden) {
                           std::string name;
                           for (const char c : std::string(golden.param.file)) {
                             name += absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace fleet::test
