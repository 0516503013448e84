#include <gmock/gmock.h>

#include "collector/probes/vantages.h"
#include "common/segment/encoder.h"
#include "fleet/v1/ingest.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Wants what a test says, and remembers what was seen.
class Wishes final : public PlanSource {
 public:
  std::vector<probe::Planned> PlanFor(absl::string_view vantage) const override {
    MutexLock lock(mutex_);
    const auto found = plans_.find(std::string(vantage));
    return found == plans_.end() ? std::vector<probe::Planned>() : found->second;
  }
  std::vector<std::string> Hurried() const override {
    MutexLock lock(mutex_);
    return hurried_;
  }
  void TakeLook(const std::string& vantage, probe::Look look) override {
    MutexLock lock(mutex_);
    seen_.emplace_back(vantage, std::move(look));
  }

  void Want(const std::string& vantage, const std::vector<std::string>& tokens) {
    MutexLock lock(mutex_);
    plans_[vantage].clear();
    for (const std::string& token : tokens) {
      probe::Planned& planned = plans_[vantage].emplace_back();
      planned.token = token;
      planned.period = absl::Seconds(60);
      planned.spec.target = "https://example.org/";
    }
  }
  void Hurry(std::vector<std::string> tokens) {
    MutexLock lock(mutex_);
    hurried_ = std::move(tokens);
  }
  std::vector<std::pair<std::string, probe::Look>> seen() const {
    MutexLock lock(mutex_);
    return seen_;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::vector<probe::Planned>> plans_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> hurried_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<std::string, probe::Look>> seen_ ABSL_GUARDED_BY(mutex_);
};

/// The agent's end: what it was told, as text.
class Told final : public IngestClient {
 public:
  void Ack(const v1::Ack&) override {}
  void Resume() override {}
  void Close(const absl::Status&) override {}
  void Tell(const v1::CollectorMessage& message) override {
    std::string text = message.has_plan() ? "plan" : "hurry";
    for (const v1::PlannedProbe& planned : message.plan().probes()) text += " " + planned.token();
    for (const std::string& token : message.hurry().tokens()) text += " " + token;
    MutexLock lock(mutex_);
    told_.push_back(text);
  }
  std::vector<std::string> told() const {
    MutexLock lock(mutex_);
    return told_;
  }
  bool Has(const std::string& text) const {
    const std::vector<std::string> all = told();
    return std::find(all.begin(), all.end(), text) != all.end();
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::string> told_ ABSL_GUARDED_BY(mutex_);
};

class VantagesTest : public testing::Test {
 protected:
  VantagesTest() { vantages_.Start(wishes_); }

  /// Gives `report` to the vantages as a stream would.
  void Look(const std::string& host, const Report& report, absl::Duration offset = {}) {
    SegmentEncoder encoder(SegmentId{1, number_++}, clock_.Now());
    std::string bytes;
    ASSERT_THAT(encoder.Append(report, bytes), test::IsOk());
    SegmentDecoder decoder;
    ASSERT_THAT(decoder.Feed(bytes,
                             [&](const DecodedReport& decoded) {
                               vantages_.Look(host, decoded, offset);
                               return absl::OkStatus();
                             }),
                test::IsOk());
  }
  Report LookAt(const std::string& token, absl::Time start) {
    probe::Look look;
    look.token = token;
    look.result.success = true;
    look.result.start = start;
    return probe::ToReport(look, absl::Seconds(60));
  }

  test::FakeClock clock_;
  Wishes wishes_;
  uint64_t number_ = 0;
  Vantages vantages_{clock_};
};

TEST_F(VantagesTest, WhoJoinsGetsItsPlan) {
  wishes_.Want("tempo", {"1kae", "ljag"});
  const auto tempo = std::make_shared<Told>();
  const auto parasect = std::make_shared<Told>();
  vantages_.Joined("tempo", 1, "10.235.0.4", tempo);
  vantages_.Joined("parasect", 2, "10.235.0.3", parasect);
  ASSERT_TRUE(test::WaitFor([&] { return tempo->told().size() == 2; }));
  EXPECT_THAT(tempo->told(), ElementsAre("plan 1kae ljag", "hurry"));
  // Nothing is asked of this one, which it is told, for it may remember an older plan.
  ASSERT_TRUE(test::WaitFor([&] { return !parasect->told().empty(); }));
  EXPECT_THAT(parasect->told(), ElementsAre("plan"));
}

TEST_F(VantagesTest, TellsOnlyWhatIsNew) {
  wishes_.Want("tempo", {"1kae"});
  const auto tempo = std::make_shared<Told>();
  vantages_.Joined("tempo", 1, "10.235.0.4", tempo);
  ASSERT_TRUE(test::WaitFor([&] { return tempo->told().size() == 2; }));
  vantages_.Changed();
  wishes_.Hurry({"1kae"});
  vantages_.Changed();
  ASSERT_TRUE(test::WaitFor([&] { return tempo->Has("hurry 1kae"); }));
  wishes_.Want("tempo", {"1kae", "ljag"});
  vantages_.Changed();
  ASSERT_TRUE(test::WaitFor([&] { return tempo->Has("plan 1kae ljag"); }));
  EXPECT_THAT(tempo->told(), ElementsAre("plan 1kae", "hurry", "hurry 1kae", "plan 1kae ljag"));
}

TEST_F(VantagesTest, KnowsWhoIsThere) {
  const auto first = std::make_shared<Told>();
  const auto second = std::make_shared<Told>();
  vantages_.Joined("tempo", 1, "10.235.0.4", first);
  vantages_.Joined("tempo", 2, "10.235.0.4", second);
  vantages_.Left("tempo", 1);  // the older stream ends after the newer has begun
  ASSERT_THAT(vantages_.List(), SizeIs(1));
  EXPECT_TRUE(vantages_.List()[0].up);
  vantages_.Left("tempo", 2);
  EXPECT_FALSE(vantages_.List()[0].up);
  vantages_.Forget("parasect");
  EXPECT_EQ(vantages_.List()[0].name, "tempo");
  vantages_.Forget("tempo");  // retired
  EXPECT_THAT(vantages_.List(), IsEmpty());
}

TEST_F(VantagesTest, BringsWhatWasSeenToTheProbes) {
  const absl::Time start = clock_.Now() - absl::Minutes(5);
  Look("tempo", LookAt("1kae", start), absl::Minutes(2));
  ASSERT_THAT(wishes_.seen(), SizeIs(1));
  EXPECT_EQ(wishes_.seen()[0].first, "tempo");
  EXPECT_EQ(wishes_.seen()[0].second.token, "1kae");
  EXPECT_TRUE(wishes_.seen()[0].second.result.success);
  EXPECT_EQ(wishes_.seen()[0].second.result.start, start + absl::Minutes(2));  // by our clock
}

TEST_F(VantagesTest, DropsAndCountsWhatIsNoLook) {
  Report report = LookAt("1kae", clock_.Now());
  report.check = "probe.NOTOKEN";
  Look("tempo", report);
  Look("tempo", LookAt("1kae", clock_.Now() - Vantages::kLatenessMax - absl::Hours(1)));
  EXPECT_THAT(wishes_.seen(), IsEmpty());
  EXPECT_EQ(vantages_.dropped(), 2u);
  // A clock that is ahead does not make news of the future.
  Look("tempo", LookAt("1kae", clock_.Now() + absl::Hours(1)));
  ASSERT_THAT(wishes_.seen(), SizeIs(1));
  EXPECT_EQ(wishes_.seen()[0].second.result.start, clock_.Now());
}

}  // namespace
}  // namespace fleet::collector
