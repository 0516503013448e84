// Compares fleet's node_* metrics with those of the real node_exporter on this machine: between two
// scrapes of it, so that every counter of ours must lie between theirs.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/exposition_parser.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"

namespace fleet::test {
namespace {

/// Which of node_exporter's families each check answers for. A name that ends in '_' is a prefix.
struct Subject {
  absl::string_view check;
  std::vector<absl::string_view> families;
};
const std::vector<Subject>& Subjects() {
  static const auto& subjects = *new std::vector<Subject>{
      {"clock", {"node_time_", "node_timex_"}},
      {"cpu",
       {"node_cpu_seconds_total", "node_cpu_guest_seconds_total", "node_context_switches_total",
        "node_forks_total", "node_intr_total", "node_procs_", "node_boot_time_seconds",
        "node_softnet_"}},
      {"disk", {"node_disk_", "node_filesystem_"}},
      {"kernel",
       {"node_uname_info", "node_os_", "node_filefd_", "node_entropy_", "node_selinux_enabled"}},
      {"load",
       {"node_load1", "node_load5", "node_load15", "node_pressure_cpu_", "node_pressure_io_"}},
      {"memory", {"node_memory_", "node_vmstat_", "node_pressure_memory_"}},
      {"network", {"node_network_", "node_netstat_", "node_sockstat_", "node_nf_conntrack_"}},
      {"raid", {"node_md_"}},
  };
  return subjects;
}

/// How far a gauge that moves by itself may be off both scrapes; everything else must equal one of
/// them or lie between. Other programs work on this machine meanwhile.
double Tolerance(absl::string_view family) {
  constexpr std::pair<absl::string_view, double> kMoving[] = {
      {"node_memory_", 64 << 20},
      {"node_filesystem_", 64 << 20},
      {"node_procs_", 32},
      {"node_load", 0.1},
      {"node_filefd_allocated", 512},
      {"node_sockstat_", 64},
      {"node_disk_io_now", 64},
      {"node_netstat_Tcp_CurrEstab", 64},
      {"node_nf_conntrack_entries", 64},
      {"node_timex_", 1e-3},
      // The kernel itself lets idle and iowait step back, and node_exporter then shows the older.
      {"node_cpu_seconds_total", 0.1},
  };
  for (const auto& [prefix, tolerance] : kMoving) {
    if (absl::StartsWith(family, prefix)) return tolerance;
  }
  return 0;
}

bool Answers(absl::string_view pattern, absl::string_view family) {
  return absl::EndsWith(pattern, "_") ? absl::StartsWith(family, pattern) : family == pattern;
}

/// What all of our checks with node_* metrics say now.
Exposition RunOurChecks(CheckRunner& runner) {
  Exposition ours;
  for (const agent::CheckSpec& spec : agent::AllChecks()) {
    const auto check = spec.make(runner.env());
    const auto metrics = check->metrics();
    if (std::none_of(metrics.begin(), metrics.end(),
                     [](const MetricDesc& desc) { return absl::StartsWith(desc.name, "node_"); })) {
      continue;
    }
    const CheckResult result = runner.Run(*check);
    const SampleSet& samples = result.report.samples;
    for (size_t i = 0; i < samples.size(); ++i) {
      ExposedFamily& family = ours[std::string(samples.name(i))];
      family.type =
          std::string(MetricTypeName(samples.families()[samples.series()[i].family].type));
      family.series[SortedLabels(samples.labels(i))] = samples.values()[i];
    }
  }
  return ours;
}

/// What is wrong with our value beside theirs before and after; empty when nothing is.
std::string CompareValue(absl::string_view family, double before, double ours, double after) {
  const double slack = Tolerance(family) + 1e-9 * std::max(std::abs(before), std::abs(after));
  if (std::isnan(before) && std::isnan(ours)) return "";
  if (ours >= std::min(before, after) - slack && ours <= std::max(before, after) + slack) return "";
  return absl::StrCat(ours, " is not between ", before, " and ", after);
}

/// Everything wrong with one family.
std::vector<std::string> CompareFamily(const std::string& name, const Exposition& before,
                                       const Exposition& ours, const Exposition& after) {
  const auto found = ours.find(name);
  if (found == ours.end()) return {absl::StrCat(name, ": missing")};
  const ExposedFamily& was = before.at(name);
  const ExposedFamily& is = after.at(name);
  const ExposedFamily& mine = found->second;
  std::vector<std::string> problems;
  const auto complain = [&](absl::string_view labels, absl::string_view problem) {
    problems.push_back(absl::StrCat(name, "{", labels, "}: ", problem));
  };
  if (mine.type != was.type) complain("", absl::StrCat("is ", mine.type, ", not ", was.type));
  for (const auto& [labels, value] : was.series) {
    const auto later = is.series.find(labels);
    if (later == is.series.end()) continue;  // went meanwhile
    const auto own = mine.series.find(labels);
    if (own == mine.series.end()) {
      complain(labels, "missing");
      continue;
    }
    const std::string problem = CompareValue(name, value, own->second, later->second);
    if (!problem.empty()) complain(labels, problem);
  }
  for (const auto& [labels, value] : mine.series) {
    if (!was.series.contains(labels) && !is.series.contains(labels))
      complain(labels, "is ours alone");
  }
  return problems;
}

class NodeExporterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasProgram("prometheus-node-exporter")) {
      GTEST_SKIP() << "prometheus-node-exporter is not installed";
    }
    port_ = FreePort();
    exporter_ = std::make_unique<Process>(std::vector<std::string>{
        "prometheus-node-exporter", absl::StrCat("--web.listen-address=127.0.0.1:", port_)});
    ASSERT_TRUE(WaitFor([this] { return AcceptsConnections(port_); }));
    runner_.UseRealClock();
    for (const agent::CheckSpec& spec : agent::AllChecks()) present_.insert(spec.name);
  }

  Exposition Scrape() { return ParseExposition(HttpGet(port_, "/metrics").body); }

  /// The families of `exposition` that a check in our table answers for.
  std::set<std::string> Required(const Exposition& exposition) const {
    std::set<std::string> required;
    for (const auto& [name, family] : exposition) {
      for (const Subject& subject : Subjects()) {
        if (!present_.contains(subject.check)) continue;
        for (const absl::string_view pattern : subject.families) {
          if (Answers(pattern, name)) required.insert(name);
        }
      }
    }
    return required;
  }

  uint16_t port_ = 0;
  std::unique_ptr<Process> exporter_;
  CheckRunner runner_{agent::HostFs()};
  std::set<absl::string_view> present_;
};

TEST_F(NodeExporterTest, AgreesInNamesTypesLabelsAndValues) {
  // What was in flux at one moment is compared again at another; what is wrong is wrong each time.
  std::set<std::string> agreed;
  std::set<std::string> required;
  std::vector<std::string> problems;
  std::vector<std::string> left_out;  // theirs, and of no check
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Exposition before = Scrape();
    const Exposition ours = RunOurChecks(runner_);
    const Exposition after = Scrape();
    required = Required(before);
    problems.clear();
    left_out.clear();
    for (const auto& [name, family] : before) {
      if (absl::StartsWith(name, "node_") && !ours.contains(name)) left_out.push_back(name);
      const bool compared =
          required.contains(name) || (absl::StartsWith(name, "node_") && ours.contains(name));
      if (!compared || !after.contains(name) || agreed.contains(name)) continue;
      const std::vector<std::string> wrong = CompareFamily(name, before, ours, after);
      if (wrong.empty()) agreed.insert(name);
      problems.insert(problems.end(), wrong.begin(), wrong.end());
    }
    if (problems.empty()) break;
  }
  for (const Subject& subject : Subjects()) {
    EXPECT_TRUE(present_.contains(subject.check)) << subject.check;
    // Not every machine has arrays.
    if (subject.check == "raid") continue;
    EXPECT_TRUE(std::any_of(agreed.begin(), agreed.end(), [&](const std::string& name) {
      return Answers(subject.families.front(), name);
    })) << subject.check;
  }
  EXPECT_TRUE(problems.empty()) << absl::StrJoin(problems, "\n");
  EXPECT_GE(agreed.size(), required.size());
  RecordProperty("families", static_cast<int>(agreed.size()));
  std::printf("%zu families agree\n", agreed.size());
  if (!left_out.empty()) std::printf("left out: %s\n", absl::StrJoin(left_out, " ").c_str());
}

TEST_F(NodeExporterTest, FindsTheirNamesMarkedAsAdopted) {
  const Exposition theirs = Scrape();
  for (const agent::CheckSpec& spec : agent::AllChecks()) {
    const auto check = spec.make(runner_.env());
    for (const MetricDesc& desc : check->metrics()) {
      const auto found = theirs.find(std::string(desc.name));
      if (found == theirs.end() || !absl::StartsWith(desc.name, "node_")) continue;
      EXPECT_TRUE(desc.adopted) << desc.name;
    }
  }
}

}  // namespace
}  // namespace fleet::test
