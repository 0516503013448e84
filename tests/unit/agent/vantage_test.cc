#include "agent/vantage.h"

#include <gmock/gmock.h>

#include "common/probe/look_report.h"
#include "fleet/v1/probe.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_probe_engine.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class VantageTest : public testing::Test {
 protected:
  static probe::Planned ProbeOf(const std::string& token, absl::Duration period) {
    probe::Planned planned;
    planned.token = token;
    planned.period = period;
    planned.spec.target = "https://" + token + ".example/";
    return planned;
  }
  static v1::ProbePlan PlanOf(const std::vector<probe::Planned>& probes) {
    v1::ProbePlan plan;
    for (const probe::Planned& planned : probes) probe::ToProto(planned, *plan.add_probes());
    return plan;
  }

  /// Made on the vantage's thread; the test keeps a view of it.
  std::unique_ptr<probe::Engine> MakeEngine() {
    auto engine = std::make_unique<test::FakeProbeEngine>(clock_);
    engine_ = engine.get();
    return engine;
  }

  std::vector<Report> Reports() {
    MutexLock lock(mutex_);
    return reports_;
  }
  size_t Count(const std::string& check) {
    size_t count = 0;
    for (const Report& report : Reports()) count += report.check == check ? 1 : 0;
    return count;
  }
  /// Moves the clock in small steps, so that the thread follows.
  void Pass(absl::Duration span) {
    constexpr absl::Duration kStep = absl::Milliseconds(500);
    for (absl::Duration passed; passed < span; passed += kStep) {
      const uint64_t sleeps = clock_.sleeps();
      clock_.Advance(kStep);
      ASSERT_TRUE(test::WaitFor([&] { return clock_.sleeps() >= sleeps + 2; }));
    }
  }

  Vantage& Make(const std::vector<std::string>& allow = {}) {
    absl::StatusOr<ProbePolicy> policy = ProbePolicy::Parse(allow);
    vantage_ =
        std::make_unique<Vantage>(Vantage::Parts{*policy, clock_, [this] { return MakeEngine(); },
                                                 [this](const Report& report) {
                                                   MutexLock lock(mutex_);
                                                   reports_.push_back(report);
                                                 }});
    return *vantage_;
  }

  test::FakeClock clock_;
  std::atomic<test::FakeProbeEngine*> engine_ = nullptr;
  Mutex mutex_;
  std::vector<Report> reports_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Vantage> vantage_;
};

TEST_F(VantageTest, LooksOncePerPeriod) {
  Vantage& vantage = Make();
  vantage.SetPlan(0, PlanOf({ProbeOf("aaaa", absl::Seconds(10))}));
  Pass(absl::Seconds(100));
  EXPECT_EQ(Count("probe.aaaa"), 10u);
  const Report report = Reports()[0];
  EXPECT_EQ(report.verdict, Verdict::kOk);
  EXPECT_EQ(report.interval, absl::Seconds(10));
}

TEST_F(VantageTest, DoesNothingWithoutAPlan) {
  Vantage& vantage = Make();
  vantage.SetPlan(0, PlanOf({}));
  EXPECT_EQ(vantage.lanes(), 0u);
  EXPECT_EQ(engine_.load(), nullptr);
}

TEST_F(VantageTest, HurriesWhileAChangeIsToBeConfirmed) {
  Vantage& vantage = Make();
  vantage.SetPlan(0,
                  PlanOf({ProbeOf("aaaa", absl::Seconds(10)), ProbeOf("bbbb", absl::Seconds(10))}));
  Pass(absl::Seconds(20));
  const size_t before = Count("probe.aaaa");
  v1::ProbeHurry hurry;
  hurry.add_tokens("aaaa");
  vantage.SetHurry(0, hurry);
  Pass(absl::Seconds(20));
  EXPECT_GE(Count("probe.aaaa") - before, 4u);
  EXPECT_EQ(Count("probe.bbbb"), 4u);
  vantage.SetHurry(0, {});
  const size_t after = Count("probe.aaaa");
  Pass(absl::Seconds(20));
  EXPECT_LE(Count("probe.aaaa") - after, 3u);
}

TEST_F(VantageTest, ANewPlanReplacesTheOldOne) {
  Vantage& vantage = Make();
  vantage.SetPlan(0,
                  PlanOf({ProbeOf("aaaa", absl::Seconds(10)), ProbeOf("bbbb", absl::Seconds(10))}));
  EXPECT_EQ(vantage.lanes(), 2u);
  Pass(absl::Seconds(10));
  vantage.SetPlan(0, PlanOf({ProbeOf("bbbb", absl::Seconds(10))}));
  EXPECT_EQ(vantage.lanes(), 1u);
  const size_t seen = Count("probe.aaaa");
  Pass(absl::Seconds(20));
  EXPECT_EQ(Count("probe.aaaa"), seen);
  // Who keeps its definition keeps its turn.
  EXPECT_EQ(Count("probe.bbbb"), 3u);
}

TEST_F(VantageTest, CollectorsDoNotTakeEachOthersPlans) {
  Vantage& vantage = Make();
  vantage.SetPlan(0, PlanOf({ProbeOf("aaaa", absl::Seconds(10))}));
  vantage.SetPlan(1,
                  PlanOf({ProbeOf("aaaa", absl::Seconds(60)), ProbeOf("bbbb", absl::Seconds(10))}));
  EXPECT_EQ(vantage.lanes(), 2u);
  Pass(absl::Seconds(20));
  EXPECT_EQ(Count("probe.aaaa"), 2u);  // the first collector's word
  vantage.SetPlan(0, PlanOf({}));
  EXPECT_EQ(vantage.lanes(), 2u);
}

TEST_F(VantageTest, LooksAtBothFamiliesEachByItself) {
  Vantage& vantage = Make();
  probe::Planned planned = ProbeOf("aaaa", absl::Seconds(10));
  planned.both_families = true;
  vantage.SetPlan(0, PlanOf({planned}));
  Pass(absl::Seconds(10));
  EXPECT_EQ(Count("probe.aaaa.ipv4"), 1u);
  EXPECT_EQ(Count("probe.aaaa.ipv6"), 1u);
}

TEST_F(VantageTest, SaysWhatItMayNotAsk) {
  Vantage& vantage = Make();
  probe::Planned planned = ProbeOf("aaaa", absl::Seconds(10));
  planned.spec.http.method = "DELETE";
  vantage.SetPlan(0, PlanOf({planned}));
  Pass(absl::Seconds(10));
  ASSERT_THAT(Reports(), SizeIs(1));
  EXPECT_EQ(Reports()[0].unknown, UnknownKind::kBlind);
  EXPECT_THAT(Reports()[0].reason, HasSubstr("DELETE https://aaaa.example/"));
  EXPECT_THAT(engine_.load()->TakeStarted(), ElementsAre());
}

TEST_F(VantageTest, ALookThatHangsDelaysNoOther) {
  Vantage& vantage = Make();
  vantage.SetPlan(0, PlanOf({ProbeOf("aaaa", absl::Seconds(10))}));
  Pass(absl::Seconds(10));
  engine_.load()->Hold(true);
  Pass(absl::Seconds(30));
  EXPECT_EQ(Count("probe.aaaa"), 1u);
  EXPECT_EQ(engine_.load()->running(), 1u);  // not one for each turn
  engine_.load()->Hold(false);
  engine_.load()->Release();
  Pass(absl::Seconds(10));
  EXPECT_EQ(Count("probe.aaaa"), 3u);
}

TEST_F(VantageTest, LeavesOutWhatCannotBeAskedAndWhatIsTooMuch) {
  Vantage& vantage = Make();
  v1::ProbePlan plan = PlanOf({ProbeOf("aaaa", absl::Seconds(10))});
  plan.add_probes()->set_token("no probe");
  for (size_t i = 0; i < probe::kPlannedMax + 5; ++i) {
    probe::ToProto(ProbeOf(absl::StrCat("t", i), absl::Seconds(60)), *plan.add_probes());
  }
  vantage.SetPlan(0, plan);
  EXPECT_EQ(vantage.lanes(), probe::kPlannedMax);
}

}  // namespace
}  // namespace fleet::agent
