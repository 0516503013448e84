// Compares fleet's redis_* metrics with those of the real redis_exporter on one server: between
// two scrapes of it, so that every counter of ours must lie between theirs.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/checks/redis_metrics.h"
#include "tests/support/check_runner.h"
#include "tests/support/exposition_parser.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/redis_server.h"

namespace fleet::test {
namespace {

/// About the exporter itself, or what we leave out and say so.
bool IsOurs(absl::string_view family) {
  for (const absl::string_view prefix :
       {"redis_exporter_", "redis_target_scrape_", "redis_last_key_groups_"}) {
    if (absl::StartsWith(family, prefix)) return false;
  }
  for (const agent::LeftOutFamily& left_out : agent::RedisLeftOut()) {
    if (family == left_out.name) return false;
  }
  return absl::StartsWith(family, "redis_");
}

/// How far a gauge that the scrapes themselves move may be off both.
double Tolerance(absl::string_view family) {
  constexpr std::pair<absl::string_view, double> kMoving[] = {
      {"redis_allocator_", 4 << 20},
      {"redis_memory_used_", 4 << 20},
      {"redis_mem_", 16 << 20},
      {"redis_client_recent_max_", 1 << 20},
      {"redis_connected_clients", 2},
      {"redis_uptime_in_seconds", 1},
      {"redis_start_time_seconds", 1},
      {"redis_connected_slave_lag_seconds", 1},
      {"redis_master_last_io_seconds_ago", 10},
  };
  for (const auto& [prefix, tolerance] : kMoving) {
    if (absl::StartsWith(family, prefix)) return tolerance;
  }
  return 0;
}

class RedisExporterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasProgram("prometheus-redis-exporter") || !TestRedis::Installed()) {
      GTEST_SKIP() << "prometheus-redis-exporter or redis-server is not installed";
    }
    runner_.UseRealClock();
  }

  static std::unique_ptr<Process> StartExporter(uint16_t port) {
    return std::make_unique<Process>(std::vector<std::string>{
        "prometheus-redis-exporter", "--web.listen-address", absl::StrCat("127.0.0.1:", port)});
  }

  static Exposition Scrape(uint16_t port, const TestRedis& redis) {
    return ParseExposition(
        HttpGet(port, absl::StrCat("/scrape?target=redis://", redis.address())).body);
  }

  Exposition Ours(const TestRedis& redis) {
    runner_.options().redis.servers = {
        {.name = "", .address = redis.address(), .user = "", .password_file = ""}};
    const CheckResult result = runner_.Run(agent::MakeRedisCheck);
    EXPECT_THAT(result.status, IsOk());
    Exposition ours;
    const SampleSet& samples = result.report.samples;
    for (size_t i = 0; i < samples.size(); ++i) {
      ExposedFamily& family = ours[std::string(samples.name(i))];
      family.type =
          std::string(MetricTypeName(samples.families()[samples.series()[i].family].type));
      family.series[SortedLabels(samples.labels(i))] = samples.values()[i];
    }
    return ours;
  }

  /// All that is wrong with our families beside theirs.
  std::vector<std::string> Compare(const TestRedis& redis, uint16_t port) {
    const Exposition before = Scrape(port, redis);
    const Exposition ours = Ours(redis);
    const Exposition after = Scrape(port, redis);
    EXPECT_GT(before.size(), 100u);
    std::vector<std::string> problems;
    for (const auto& [name, was] : before) {
      if (!IsOurs(name) || after.count(name) == 0) continue;
      const auto found = ours.find(name);
      if (found == ours.end()) {
        problems.push_back(absl::StrCat(name, ": missing"));
        continue;
      }
      if (found->second.type != was.type) {
        problems.push_back(absl::StrCat(name, " is ", found->second.type, ", not ", was.type));
      }
      const double slack = Tolerance(name) + 1e-6;
      for (const auto& [labels, value] : was.series) {
        const auto mine = found->second.series.find(labels);
        const auto later = after.at(name).series.find(labels);
        if (later == after.at(name).series.end()) continue;
        if (mine == found->second.series.end()) {
          problems.push_back(absl::StrCat(name, "{", labels, "}: missing"));
        } else if (mine->second < std::min(value, later->second) - slack ||
                   mine->second > std::max(value, later->second) + slack) {
          problems.push_back(absl::StrCat(name, "{", labels, "}: ", mine->second,
                                          " is not between ", value, " and ", later->second));
        }
      }
    }
    for (const auto& [name, mine] : ours) {
      if (absl::StartsWith(name, "redis_") && after.count(name) == 0) {
        problems.push_back(absl::StrCat(name, ": is ours alone"));
      }
    }
    return problems;
  }

  CheckRunner runner_{agent::HostFs()};
};

TEST_F(RedisExporterTest, AgreesOnAPrimaryAndItsReplica) {
  TestRedis primary({"--latency-monitor-threshold", "1", "--appendonly", "yes"});
  TestRedis replica({"--replicaof", absl::StrCat("127.0.0.1 ", primary.port()),
                     "--repl-diskless-sync-delay", "0"});
  primary.DoAll({{"SET", "a", "1"},
                 {"SET", "b", "1", "EX", "1000"},
                 {"GET", "a"},
                 {"GET", "none"},
                 {"SELECT", "3"},
                 {"SET", "c", "1"},
                 {"SELECT", "0"},
                 {"NOSUCH"},
                 {"LPUSH", "a", "wrong type"},
                 {"EVAL", "local n = 0; for i = 1, 5000000 do n = n + i end; return n", "0"}});
  ASSERT_TRUE(WaitFor([&] {
    return primary.Info("connected_slaves") == 1 && replica.Do({"DBSIZE"}).integer == 2;
  }));
  const uint16_t port = FreePort();
  const auto exporter = StartExporter(port);
  ASSERT_TRUE(WaitFor([port] { return AcceptsConnections(port); }));
  for (const TestRedis* redis : {&primary, &replica}) {
    SCOPED_TRACE(redis == &primary ? "primary" : "replica");
    // What moves between our three looks by itself may differ once; what is wrong stays so.
    std::vector<std::string> problems;
    for (int i = 0; i < 3; ++i) {
      problems = Compare(*redis, port);
      if (problems.empty()) break;
    }
    EXPECT_TRUE(problems.empty()) << absl::StrJoin(problems, "\n");
  }
}

}  // namespace
}  // namespace fleet::test
