// Whose calls of Trust wait for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "collector/trust.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::testing::HasSubstr;

class TrustCallsTest : public ::testing::Test {
 protected:
  TrustParts Parts() {
    const auto none = [](const std::string&) { return false; };
    return {*store_, gate_, refusals_, *events_, metrics_, clock_, nullptr, absl::Hours(24 * 90),
            none,    none,  ""};
  }

  test::FakeClock clock_;
  SelfMetrics metrics_;
  std::unique_ptr<EventLog> events_ = *EventLog::Open("", clock_);
  std::unique_ptr<TrustStore> store_ = *TrustStore::Open("", clock_);
  Refusals refusals_{*events_, metrics_, clock_};
  Newcomers newcomers_{[](int) -> uint64_t { return 0; }};
  Gate gate_{*store_, refusals_, newcomers_, clock_, false};
};

TEST_F(TrustCallsTest, MembersThatCallWithoutEndKeepNoAdminWaiting) {
  std::vector<std::string> order;  // touched by the one thread only, until it has ended
  size_t taken = 0;
  {
    Trust trust(Parts());
    absl::Notification busy;
    absl::Notification go_on;
    trust.Run(Trust::Turn::kMember, [&] {
      busy.Notify();
      go_on.WaitForNotification();
    });
    busy.WaitForNotification();
    while (taken < 2 * Trust::kQueueMax &&
           trust.Run(Trust::Turn::kMember, [&] { order.emplace_back("member"); })) {
      ++taken;
    }
    EXPECT_TRUE(trust.Run(Trust::Turn::kAdmin, [&] { order.emplace_back("admin"); }));
    go_on.Notify();
  }
  EXPECT_EQ(taken, Trust::kQueueMax);
  EXPECT_THAT(metrics_.Render(),
              HasSubstr("fleet_collector_rejected_total{reason=\"trust_calls\"} 1"));
  ASSERT_EQ(order.size(), Trust::kQueueMax + 1);
  EXPECT_EQ(order.front(), "admin");
}

TEST_F(TrustCallsTest, AnAdminWhoRenewsTooOftenIsNoHost) {
  Trust trust(Parts());
  Identity rado;
  rado.role = Role::kAdmin;
  rado.name = "tempo";
  while (trust.MayRenew(rado, "10.235.0.3")) {
  }
  EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
  const auto events = events_->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 100);
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->front().to, "renewal_rate");
  EXPECT_EQ(events->front().host, "");
}

}  // namespace
}  // namespace fleet::collector
