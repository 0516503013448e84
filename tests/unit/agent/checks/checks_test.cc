// Walks the table of checks and holds every entry to the rules of names and descriptions.
#include "agent/checks/checks.h"

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "common/labels.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::TempHost;

/// Prefixes of the de-facto exporters, whose names we adopt.
constexpr absl::string_view kAdoptedPrefixes[] = {"node_", "pg_", "redis_", "sidekiq_", "minio_"};

bool IsAdoptedName(absl::string_view name) {
  for (const absl::string_view prefix : kAdoptedPrefixes) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return false;
}

CheckEnv EmptyHost(const TempHost& host) { return {host.fs(), {}, "", ""}; }

TEST(ChecksTest, NamesAreSortedAndUnique) {
  absl::string_view last;
  for (const CheckSpec& spec : AllChecks()) {
    EXPECT_LT(last, spec.name);
    last = spec.name;
    EXPECT_GE(spec.interval_multiple, 1) << spec.name;
    EXPECT_GT(spec.deadline, absl::ZeroDuration()) << spec.name;
    EXPECT_LE(spec.deadline, absl::Seconds(15)) << spec.name;
  }
}

TEST(ChecksTest, EveryCheckOfTheMissionIsThere) {
  std::set<absl::string_view> names;
  for (const CheckSpec& spec : AllChecks()) names.insert(spec.name);
  for (const char* name : {"clock", "cpu", "disk", "kernel", "load", "memory", "minio", "network",
                           "postgres", "raid", "redis", "sidekiq", "systemd", "tinc"}) {
    EXPECT_EQ(names.count(name), 1u) << name;
  }
}

TEST(ChecksTest, EveryMetricIsNamedAndDescribed) {
  const TempHost host;
  std::map<std::string, std::string> owner;
  for (const CheckSpec& spec : AllChecks()) {
    const std::unique_ptr<Check> check = spec.make(EmptyHost(host));
    for (const MetricDesc& desc : check->metrics()) {
      SCOPED_TRACE(absl::StrCat(spec.name, ": ", desc.name));
      const absl::string_view stem = absl::StripSuffix(desc.name, "*");
      EXPECT_TRUE(IsMetricName(stem));
      EXPECT_TRUE(absl::EndsWith(desc.help, ".")) << desc.help;
      EXPECT_FALSE(absl::StrContains(desc.help, "\n"));
      EXPECT_EQ(desc.adopted, IsAdoptedName(desc.name));
      if (!desc.adopted) {
        EXPECT_TRUE(absl::StartsWith(desc.name, "fleet_"));
        EXPECT_EQ(absl::EndsWith(desc.name, "_total"), desc.type == MetricType::kCounter);
      }
      const auto [other, fresh] = owner.emplace(std::string(desc.name), std::string(spec.name));
      EXPECT_TRUE(fresh) << "also of " << other->second;
    }
  }
}

TEST(ChecksTest, AnEmptyHostBreaksNothing) {
  const TempHost host;
  for (const CheckSpec& spec : AllChecks()) {
    SCOPED_TRACE(spec.name);
    test::CheckRunner runner(host.fs());
    const test::CheckResult result = runner.Run(spec.make);
    // Nothing is there: no check may call that crit.
    EXPECT_NE(result.verdict(), Verdict::kCrit) << result.status;
  }
}

}  // namespace
}  // namespace fleet::agent
