// Dashboards and alert rules name only metrics that the code declares, and Grafana can read them.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "collector/exposition.h"
#include "collector/known_families.h"
#include "collector/probes/probe_series.h"
#include "collector/self_metrics.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> FilesBelow(const std::string& folder, const std::string& extension) {
  std::vector<std::string> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(absl::StrCat(FLEET_SOURCE_DIR, "/", folder))) {
    if (entry.path().extension() == extension) files.push_back(entry.path());
  }
  return files;
}

bool IsDeclared(const std::string& name) {
  for (const MetricDesc* desc : self::Descriptors()) {
    if (name == desc->name) return true;
  }
  // blackbox_exporter's, as probes name them.
  static const std::string samples =
      test::ReadFile(absl::StrCat(FLEET_SOURCE_DIR, "/common/probe/samples.h"));
  if (absl::StartsWith(name, "probe_")) {
    return absl::StrContains(samples, absl::StrCat("\"", name, "\""));
  }
  for (const absl::Span<const MetricDesc> descs :
       {KnownFamilies(), BuiltinMetrics(), ProbeMetricDescs()}) {
    for (const MetricDesc& desc : descs) {
      absl::string_view prefix = desc.name;
      if (name == desc.name) return true;
      if (absl::ConsumeSuffix(&prefix, "*") && absl::StartsWith(name, prefix)) return true;
    }
  }
  return false;
}

/// Every word of `text` that can only be one of our metric names.
std::set<std::string> MetricNames(const std::string& text) {
  static const std::regex name(R"(\b(node|pg|redis|sidekiq|minio|probe|fleet)_[a-zA-Z0-9_]+\b)");
  std::set<std::string> names;
  for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at) {
    names.insert(at->str());
  }
  return names;
}

void CollectExpressions(const nlohmann::json& json, std::string& out) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if ((key == "expr" || key == "query" || key == "definition") && value.is_string()) {
        absl::StrAppend(&out, value.get<std::string>(), "\n");
      }
      CollectExpressions(value, out);
    }
  } else if (json.is_array()) {
    for (const auto& value : json) CollectExpressions(value, out);
  }
}

TEST(DashboardsTest, NameOnlyMetricsThatTheCodeDeclares) {
  size_t seen = 0;
  for (const std::string& file : FilesBelow("dashboards/grafana", ".json")) {
    std::string expressions;
    CollectExpressions(nlohmann::json::parse(test::ReadFile(file)), expressions);
    for (const std::string& name : MetricNames(expressions)) {
      EXPECT_TRUE(IsDeclared(name)) << name << " in " << file;
      ++seen;
    }
  }
  EXPECT_GT(seen, 30u);
}

TEST(DashboardsTest, HaveWhatGrafanaNeeds) {
  std::set<std::string> uids;
  for (const std::string& file : FilesBelow("dashboards/grafana", ".json")) {
    SCOPED_TRACE(file);
    const auto json = nlohmann::json::parse(test::ReadFile(file));
    EXPECT_TRUE(uids.insert(json["uid"]).second);
    std::set<int> ids;
    for (const auto& panel : json["panels"]) {
      EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second);
      EXPECT_NE(panel["title"], "");
      if (panel["type"] == "row") continue;
      EXPECT_FALSE(panel["targets"].empty());
      EXPECT_NE(panel["description"], "") << panel["title"];
      EXPECT_EQ(panel["datasource"]["uid"], "${datasource}");
    }
  }
}

TEST(RulesTest, NameOnlyMetricsThatTheCodeDeclares) {
  for (const std::string& file : FilesBelow("dashboards/prometheus", ".yml")) {
    for (const std::string& name : MetricNames(test::ReadFile(file))) {
      EXPECT_TRUE(IsDeclared(name)) << name << " in " << file;
    }
  }
}

TEST(RulesTest, EveryAlertIsTested) {
  static const std::regex alert(R"(- alert: (\w+))");
  std::string tests;
  for (const std::string& file : FilesBelow("dashboards/prometheus/rules_test", ".yml")) {
    tests += test::ReadFile(file);
  }
  for (const std::string& file : FilesBelow("dashboards/prometheus/rules", ".yml")) {
    const std::string rules = test::ReadFile(file);
    for (std::sregex_iterator at(rules.begin(), rules.end(), alert), end; at != end; ++at) {
      EXPECT_TRUE(absl::StrContains(tests, absl::StrCat("alertname: ", (*at)[1].str())))
          << (*at)[1] << " has no case";
    }
  }
}

TEST(RulesTest, PromtoolAcceptsAndPassesThem) {
  if (!test::HasProgram("promtool")) GTEST_SKIP() << "promtool is not installed";
  for (const std::string& file : FilesBelow("dashboards/prometheus/rules", ".yml")) {
    const test::Output output = test::RunProgram({"promtool", "check", "rules", file});
    EXPECT_EQ(output.exit_code, 0) << output.text;
  }
  for (const std::string& file : FilesBelow("dashboards/prometheus/rules_test", ".yml")) {
    const test::Output output = test::RunProgram({"promtool", "test", "rules", file});
    EXPECT_EQ(output.exit_code, 0) << output.text;
  }
  for (const std::string& file : FilesBelow("dashboards/prometheus", ".yml")) {
    if (absl::StrContains(file, "/rules")) continue;
    const test::Output output = test::RunProgram({"promtool", "check", "config", file});
    EXPECT_EQ(output.exit_code, 0) << output.text;
  }
}

}  // namespace
}  // namespace fleet::collector
