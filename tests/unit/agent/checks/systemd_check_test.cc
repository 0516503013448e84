#include "agent/checks/systemd_check.h"

#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::fleet::test::TempHost;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Answers what the test put there.
class FakeSystemd final : public SystemdReader {
 public:
  explicit FakeSystemd(absl::StatusOr<SystemdState>& state) : state_(state) {}
  absl::StatusOr<SystemdState> Read(absl::Span<const std::string>, SteadyTime) override {
    return state_;
  }

 private:
  absl::StatusOr<SystemdState>& state_;
};

class SystemdCheckTest : public ::testing::Test {
 protected:
  SystemdCheckTest() {
    host_.Write("run/systemd/system/.keep", "");
    state_->system_state = "running";
    state_->version = "252.39-1~deb12u2";
    state_->services_active = 45;
  }
  CheckResult Run() {
    return runner_.Run(*MakeSystemdCheckFrom(runner_.env(), std::make_unique<FakeSystemd>(state_)));
  }
  SystemdUnit Unit(absl::string_view name, absl::string_view active, absl::string_view sub,
                   absl::string_view result = "") {
    SystemdUnit unit;
    unit.name = std::string(name);
    unit.load = "loaded";
    unit.active = std::string(active);
    unit.sub = std::string(sub);
    unit.type = "simple";
    unit.result = std::string(result);
    unit.changed = runner_.clock().Now() - absl::Hours(3);
    return unit;
  }

  TempHost host_;
  CheckRunner runner_{host_.fs()};
  absl::StatusOr<SystemdState> state_ = SystemdState();
};

TEST_F(SystemdCheckTest, SaysLittleWhenAllIsWell) {
  const CheckResult result = Run();
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), IsEmpty());
  EXPECT_EQ(result.report.reason, "running, 45 services active");
  EXPECT_THAT(result.lines(),
              ElementsAre("node_systemd_system_running 1",
                          R"(node_systemd_version{version="252.39-1~deb12u2"} 252.39)"));
}

TEST_F(SystemdCheckTest, NamesFailedUnits) {
  state_->system_state = "degraded";
  state_->failed = {Unit("logrotate.service", "failed", "failed", "oom-kill"),
                    Unit("data.mount", "failed", "failed")};
  const CheckResult result = Run();
  EXPECT_THAT(result.items(),
              ElementsAre("logrotate.service warn failed 3 h ago: it was killed for want of memory",
                          "data.mount warn failed 3 h ago"));
  EXPECT_EQ(result.value("node_systemd_system_running"), 0);
  EXPECT_EQ(result.value(R"(node_systemd_unit_state{name="logrotate.service",state="failed",)"
                         R"(type="simple"})"),
            1);
  EXPECT_EQ(result.value(R"(node_systemd_unit_state{name="logrotate.service",state="active",)"
                         R"(type="simple"})"),
            0);
}

TEST_F(SystemdCheckTest, IgnoresWhatIsNoNews) {
  runner_.options().systemd.ignore = {"user@*.service"};
  state_->failed = {Unit("user@1000.service", "failed", "failed")};
  EXPECT_THAT(Run().items(), IsEmpty());
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
}

TEST_F(SystemdCheckTest, RequiredUnitsMustBeActive) {
  runner_.options().systemd.required = {"a", "b", "c", "d", "e", "f"};  // the fake knows them all
  SystemdUnit missing = Unit("gone.service", "inactive", "dead");
  missing.load = "not-found";
  state_->required = {Unit("nginx.service", "active", "running"),
                      Unit("minio.service", "failed", "failed", "exit-code"),
                      Unit("tinc@chitter.service", "inactive", "dead"),
                      missing,
                      Unit("slow.service", "activating", "start"),
                      Unit("loop.service", "activating", "auto-restart")};
  state_->failed = {state_->required[1]};
  EXPECT_THAT(
      Run().items(),
      ElementsAre("nginx.service ok running",
                  "minio.service crit required, but failed 3 h ago: it exited with an error",
                  "tinc@chitter.service crit required, but inactive 3 h ago",
                  "gone.service crit required, but there is no such unit",
                  "slow.service warn required, still starting (start)",
                  "loop.service warn required, but it died and waits for its restart"));
}

TEST_F(SystemdCheckTest, SeesAServiceThatKeepsDying) {
  state_->restarts = {{"web.service", 1, false}};
  EXPECT_THAT(Run().items(), IsEmpty()) << "nobody knows when the first was";
  for (uint32_t count = 2; count <= 4; ++count) {
    EXPECT_THAT(Run().items(), IsEmpty());
    runner_.clock().Advance(absl::Seconds(30));
    state_->restarts = {{"web.service", count, false}};
  }
  const CheckResult result = Run();
  EXPECT_THAT(result.items(),
              ElementsAre("web.service warn keeps dying: restarted 4 times, last noticed 0 s ago"));
  EXPECT_EQ(result.value(R"(node_systemd_service_restart_total{name="web.service"})"), 4);
  runner_.clock().Advance(absl::Minutes(11));
  EXPECT_THAT(Run().items(), IsEmpty()) << "it has been quiet since";
}

TEST_F(SystemdCheckTest, SeesALoopAtTheFirstLookWhenItIsRestarting) {
  state_->restarts = {{"web.service", 62, true}};
  EXPECT_EQ(Run().verdict(), Verdict::kWarn);
  runner_.clock().Advance(absl::Minutes(1));
  EXPECT_EQ(Run().verdict(), Verdict::kWarn);
}

TEST_F(SystemdCheckTest, AStartByHandResetsTheCounter) {
  state_->restarts = {{"web.service", 62, false}};
  Run();
  state_->restarts = {{"web.service", 2, false}};
  EXPECT_THAT(Run().items(), IsEmpty());
}

TEST_F(SystemdCheckTest, RestartsNowAndThenAreNoLoop) {
  for (uint32_t count = 1; count < 20; ++count) {
    runner_.clock().Advance(absl::Minutes(6));
    state_->restarts = {{"web.service", count, false}};
    EXPECT_THAT(Run().items(), IsEmpty());
  }
}

TEST_F(SystemdCheckTest, ForgetsWhatIsGone) {
  state_->restarts = {{"web.service", 1, false}};
  Run();
  EXPECT_FALSE(runner_.memory().entries().empty());
  state_->restarts.clear();
  runner_.clock().Advance(absl::Minutes(11));
  Run();
  EXPECT_TRUE(runner_.memory().entries().empty());
}

TEST_F(SystemdCheckTest, SurvivesADamagedMemory) {
  state_->restarts = {{"web.service", 5, false}};
  for (const char* text : {"", "x", "1:", ":1", "1:x", "1:99999999999", "x:1"}) {
    SCOPED_TRACE(text);
    runner_.memory().Set("restarts/web.service", text);
    EXPECT_THAT(Run().items(), IsEmpty());
    EXPECT_EQ(*runner_.memory().Find("restarts/web.service"), "1700000000:5");
  }
}

TEST_F(SystemdCheckTest, RescueModeIsCrit) {
  state_->system_state = "maintenance";
  EXPECT_EQ(Run().verdict(), Verdict::kCrit);
}

TEST_F(SystemdCheckTest, SaysWhatWouldGrantTheRight) {
  state_ = absl::PermissionDeniedError("systemd: connect /run/systemd/private");
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("apt install dbus")));
}

TEST_F(SystemdCheckTest, IsAbsentWithoutSystemd) {
  host_.Remove("run/systemd/system");
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
}

TEST_F(SystemdCheckTest, ARecordedHostHasNoBus) {
  EXPECT_THAT(CheckRunner(host_.fs()).Run(MakeSystemdCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
