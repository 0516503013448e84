// A collector that is killed at every stage of its probes' downtimes, with a real server that goes
// and comes: no downtime that anybody has seen is lost, doubled or changed.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <random>

#include "tests/support/fleet_processes.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

constexpr int kOutages = 6;

class ProbeKillTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
  }

  void StartCollector() {
    // Those of the one before are not where the new one listens.
    ::unlink((dir_ / "ports").c_str());
    collector_.emplace(dir_, absl::StrCat("data_dir: ", dir_ / "data",
                                          "\nprobes: [{name: web, token: 1kae, period: 1s, url: \"",
                                          web_.url(), "\"}]\n"));
  }
  void KillCollector() {
    collector_->process().Kill(SIGKILL);
    ASSERT_TRUE(collector_->process().Wait(absl::Seconds(10)).has_value());
    ++kills_;
    StartCollector();
  }

  /// The downtimes now, newest first; checks that those that were seen before are as they were.
  nlohmann::json Downtimes() {
    const Output output = Fleetctl(*collector_, {"downtimes", "-o", "json"});
    nlohmann::json reply = nlohmann::json::parse(output.text, nullptr, false);
    if (reply.is_discarded()) return {};
    std::map<std::string, nlohmann::json> now;
    for (const nlohmann::json& one : reply["downtimes"]) now[one["id"]] = one;
    for (const auto& [id, before] : seen_) {
      EXPECT_EQ(now.count(id), 1u) << "lost: " << before;
      if (now.count(id) == 0) continue;
      EXPECT_EQ(now[id]["startedAt"], before["startedAt"]);
      if (!before["endedAt"].is_null()) {
        EXPECT_EQ(now[id]["endedAt"], before["endedAt"]);
      }
    }
    seen_ = now;
    return reply["downtimes"];
  }

  /// Waits until the probe is down (or up) by what fleetctl says, killing the collector at random
  /// moments on the way, `kills` times at most.
  bool Reaches(bool down, int kills) {
    return WaitFor(
        [&] {
          if (kills > 0 && random_() % 4 == 0) {
            --kills;
            KillCollector();
          }
          const nlohmann::json downtimes = Downtimes();
          if (!downtimes.is_array()) return false;
          const bool is_down = !downtimes.empty() && downtimes[0]["endedAt"].is_null();
          return is_down == down;
        },
        absl::Seconds(60));
  }

  TempDir dir_;
  WebServer web_;
  std::optional<CollectorProcess> collector_;
  std::map<std::string, nlohmann::json> seen_;
  std::mt19937_64 random_{20261126};
  int kills_ = 0;
};

TEST_F(ProbeKillTest, NoDowntimeIsLostOrDoubled) {
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  StartCollector();
  for (int outage = 0; outage < kOutages; ++outage) {
    SCOPED_TRACE(absl::StrCat("outage ", outage));
    web_.Stop();
    ASSERT_TRUE(Reaches(true, 2)) << collector_->log();
    KillCollector();  // the moment after it was told
    const nlohmann::json downtimes = Downtimes();
    ASSERT_TRUE(downtimes.is_array());
    ASSERT_EQ(downtimes.size(), static_cast<size_t>(outage + 1));
    EXPECT_TRUE(downtimes[0]["endedAt"].is_null());
    ASSERT_TRUE(web_.Serve("return 200 hello;"));
    ASSERT_TRUE(Reaches(false, 2)) << collector_->log();
    KillCollector();
    ASSERT_EQ(Downtimes().size(), static_cast<size_t>(outage + 1));
  }
  const nlohmann::json status = Status(*collector_);
  ASSERT_EQ(status["probes"].size(), 1u);
  EXPECT_EQ(status["probes"][0]["down"], false);
  // They follow each other.
  const nlohmann::json downtimes = Downtimes();
  for (size_t i = 1; i < downtimes.size(); ++i) {
    EXPECT_GE(downtimes[i - 1]["startedAt"], downtimes[i]["endedAt"]);
  }
  EXPECT_GE(kills_, 2 * kOutages);
}

}  // namespace
}  // namespace fleet::test
