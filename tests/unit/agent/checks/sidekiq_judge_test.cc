#include "agent/checks/sidekiq_judge.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

SidekiqProcess Process(std::vector<std::string> queues, bool quiet = false) {
  SidekiqProcess process;
  process.identity = "vm:1:abc";
  process.info.queues = std::move(queues);
  process.info.concurrency = 5;
  process.quiet = quiet;
  return process;
}

SidekiqQueueState Queue(std::string name, double jobs, absl::Duration latency) {
  SidekiqQueueState queue;
  queue.name = std::move(name);
  queue.jobs = jobs;
  if (jobs > 0) queue.latency = latency;
  return queue;
}

std::vector<std::string> Lines(const std::vector<Item>& items) {
  std::vector<std::string> lines;
  for (const Item& item : items) {
    lines.push_back(absl::StrCat(item.name, " ", VerdictName(item.verdict), " ", item.reason));
  }
  return lines;
}

class JudgeSidekiqTest : public ::testing::Test {
 protected:
  std::vector<std::string> Judge(SteadyTime now = SteadyTime()) {
    snapshot_.processes_listed =
        std::max(snapshot_.processes_listed, static_cast<double>(snapshot_.processes.size()));
    return Lines(JudgeSidekiq(snapshot_, options_, now, history_));
  }

  SidekiqSnapshot snapshot_;
  SidekiqOptions options_;
  SidekiqHistory history_;
};

TEST_F(JudgeSidekiqTest, NamesTheQueueNobodyServes) {
  snapshot_.processes = {Process({"default"})};
  snapshot_.queues = {Queue("default", 3, absl::Seconds(2)), Queue("idle", 0, {}),
                      Queue("ingress", 12, absl::Hours(1))};
  EXPECT_THAT(Judge(),
              ElementsAre("default ok 3 jobs, oldest waits 2.0 s",
                          "idle ok empty, no live process serves it",
                          "ingress crit 12 jobs, no live process serves it, oldest waits 60 min",
                          "processes ok 1 process, 0 of 5 threads busy", "retry ok 0 jobs",
                          "schedule ok 0 jobs", "dead ok 0 jobs"));
}

TEST_F(JudgeSidekiqTest, QueuesMayWaitAsLongAsTheirKind) {
  options_.queues = {{"own", absl::Seconds(1), absl::Seconds(2)}};
  const auto limit = [this](absl::string_view queue) {
    return SidekiqLimits(queue, options_).latency_crit;
  };
  EXPECT_EQ(limit("default"), absl::Minutes(5));
  EXPECT_EQ(limit("pull"), absl::Minutes(30));
  EXPECT_EQ(limit("own"), absl::Seconds(2));
  snapshot_.processes = {Process({"default", "pull"})};
  snapshot_.queues = {Queue("default", 1, absl::Minutes(4)), Queue("pull", 1, absl::Minutes(4))};
  EXPECT_THAT(Judge(), Contains("default warn 1 job, oldest waits 4 min (limit 60 s)"));
  EXPECT_THAT(Judge(), Contains("pull ok 1 job, oldest waits 4 min"));
}

TEST_F(JudgeSidekiqTest, ItemsStayUniqueWhateverQueuesAreCalled) {
  snapshot_.processes = {Process({"dead"})};
  snapshot_.queues = {Queue("dead", 0, {})};
  EXPECT_THAT(Judge(), Contains("queue:dead ok empty"));
}

TEST_F(JudgeSidekiqTest, WithoutProcessesTheirHostIsTheCause) {
  options_.host = "parasect";
  snapshot_.queues = {Queue("default", 1, absl::Seconds(1))};
  snapshot_.processes_listed = 2;
  SidekiqHistory history;
  for (const Item& item : JudgeSidekiq(snapshot_, options_, SteadyTime(), history)) {
    EXPECT_EQ(item.parent, item.verdict == Verdict::kCrit ? "parasect" : "") << item.name;
  }
  EXPECT_THAT(Judge(), Contains("processes crit no live process, 2 processes died without a word"));
}

TEST_F(JudgeSidekiqTest, AStandstillIsAWarningAfterAWhile) {
  snapshot_.processes = {Process({"default"})};
  snapshot_.queues = {Queue("default", 40, absl::Seconds(1))};
  snapshot_.processed = 100;
  const SteadyTime start;
  EXPECT_THAT(Judge(start), Contains("processes ok 1 process, 0 of 5 threads busy"));
  EXPECT_THAT(Judge(SteadyAfter(start, absl::Minutes(11))),
              Contains("processes warn nothing processed for 11 min while 40 jobs wait; 1 process, "
                       "0 of 5 threads busy"));
  snapshot_.processed = 101;
  EXPECT_THAT(Judge(SteadyAfter(start, absl::Minutes(12))),
              Contains("processes ok 1 process, 0 of 5 threads busy"));
}

TEST_F(JudgeSidekiqTest, PausedQueuesFullRetriesAndLateHeartbeats) {
  snapshot_.processes = {Process({"default"})};
  snapshot_.processes[0].beat_age = absl::Seconds(45);
  snapshot_.queues = {Queue("default", 1, absl::Seconds(1))};
  snapshot_.queues[0].paused = true;
  snapshot_.retry = 1000;
  snapshot_.dead = 500;
  snapshot_.died_last_hour = 100;
  EXPECT_THAT(Judge(),
              ElementsAre("default warn 1 job, paused, oldest waits 1.0 s",
                          "processes warn vm:1:abc without heartbeat for 45 s; 1 process, 0 of 5 "
                          "threads busy",
                          "retry warn 1000 jobs (limit 1000)", "schedule ok 0 jobs",
                          "dead warn 500 jobs, 100 of them died within the hour"));
}

TEST(SidekiqTimeTest, TellsSecondsFromMilliseconds) {
  EXPECT_EQ(absl::ToUnixMillis(SidekiqTime("1795453581.41").value()), 1795453581410);
  EXPECT_EQ(absl::ToUnixMillis(SidekiqTime("1795453710825").value()), 1795453710825);
  for (const char* text : {"", "?", "-1", "nan", "1e300", "soon"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(SidekiqTime(text).has_value());
  }
}

}  // namespace
}  // namespace fleet::agent
