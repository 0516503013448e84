// The real agent over recorded hosts, compared word for word. `UPDATE_GOLDEN=1` writes what it says
// now; read the difference before it is committed.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/report.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

/// What moves by itself although the host is a recording.
bool MovesByItself(const std::string& name) { return name == "node_time_seconds"; }

std::string Number(double value) {
  std::string text;
  AppendValue(value, text);
  return text;
}

/// The JSON of `fleet-agent check`, one line per check, item and sample.
std::string Flatten(const nlohmann::json& json) {
  std::string text;
  for (const auto& check : json["checks"]) {
    absl::StrAppend(&text, check["name"].get<std::string>(), ": ",
                    check["verdict"].get<std::string>(), ": ", check["reason"].get<std::string>(),
                    "\n");
    for (const auto& item : check["items"]) {
      absl::StrAppend(&text, "  ", item["name"].get<std::string>(), ": ",
                      item["verdict"].get<std::string>(), ": ", item["reason"].get<std::string>(),
                      "\n");
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
  const std::string said = Flatten(json);
  const std::string golden = absl::StrCat(host, ".golden");
  if (std::getenv("UPDATE_GOLDEN") != nullptr) WriteFile(golden, said);
  EXPECT_EQ(said, ReadFile(golden));
}

TEST(MetricsDocTest, IsWhatTheCodeDeclares) {
  const Output agent = RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleet-agent"), "metrics-doc"});
  const Output collector =
      RunProgram({absl::StrCat(FLEET_BIN_DIR, "/fleet-collector"), "--metrics-doc"});
  EXPECT_EQ(absl::StrCat(agent.text, collector.text), ReadFile(FLEET_SOURCE_DIR "/docs/metrics.md"))
      << "run ./dev docs and read the difference";
}

INSTANTIATE_TEST_SUITE_P(Hosts, GoldenTest, ::testing::Values("tempo"));

}  // namespace
}  // namespace fleet::test
