#include "collector/unread.h"

#include <map>

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::testing::IsEmpty;

std::map<int, uint64_t>& Received() {
  static auto* const received = new std::map<int, uint64_t>;
  return *received;
}
uint64_t ReceivedOf(int fd) { return Received()[fd]; }

class UnreadWatchTest : public ::testing::Test {
 protected:
  UnreadWatchTest() { Received().clear(); }
  void Arrive(int fd, const std::string& host = "10.235.0.3") {
    watch_.Arrived(fd, host, static_cast<uint16_t>(1000 + fd), host);
  }
  std::shared_ptr<ReadMeter> MeterOf(int fd, const std::string& host = "10.235.0.3") {
    return watch_.MeterOf(host, static_cast<uint16_t>(1000 + fd));
  }
  std::vector<int> Look() {
    clock_.Advance(absl::Milliseconds(250));
    std::vector<int> fds;
    for (const UnreadWatch::Excess& excess : watch_.Look()) fds.push_back(excess.fd);
    return fds;
  }

  test::FakeClock clock_;
  UnreadWatch watch_{
      {.connection = 10'000, .address = 25'000, .per_second = 40}, clock_, ReceivedOf};
};

TEST_F(UnreadWatchTest, WhatIsReadMayBeAsMuchAsItLikes) {
  Arrive(5);
  const auto meter = MeterOf(5);
  for (int i = 0; i < 1'000; ++i) {
    Received()[5] += 4'000;
    meter->Took(4'000);
    ASSERT_THAT(Look(), IsEmpty());
  }
  // Nothing is saved up by it.
  Received()[5] += 10'100;
  EXPECT_THAT(Look(), ::testing::ElementsAre(5));
  EXPECT_EQ(watch_.size(), 0u);
}

TEST_F(UnreadWatchTest, AMessageWithoutEndIsNoticed) {
  Arrive(5);
  Arrive(6);
  for (int i = 0; i < 9; ++i) {
    Received()[5] += 1'000;
    ASSERT_THAT(Look(), IsEmpty());
  }
  MeterOf(5)->Took(9'000);  // it had an end after all
  ASSERT_THAT(Look(), IsEmpty());
  for (int i = 0; i < 10; ++i) {
    Received()[6] += 1'000;
    ASSERT_THAT(Look(), IsEmpty());
  }
  Received()[6] += 1'000;
  EXPECT_THAT(Look(), ::testing::ElementsAre(6));
}

TEST_F(UnreadWatchTest, PingsWithoutEndAreNoMessage) {
  Arrive(5);
  for (int i = 0; i < 100'000; ++i) {
    Received()[5] += 10;
    ASSERT_THAT(Look(), IsEmpty());
  }
}

TEST_F(UnreadWatchTest, ManyConnectionsOfOneAddressCountTogether) {
  for (int fd = 1; fd <= 4; ++fd) {
    Arrive(fd);
    Received()[fd] = 8'000 + static_cast<uint64_t>(fd);
  }
  Arrive(9, "10.235.0.4");
  Received()[9] = 9'000;
  // The largest goes, until the rest fits.
  EXPECT_THAT(Look(), ::testing::ElementsAre(4));
}

TEST_F(UnreadWatchTest, ANumberThatIsUsedAgainIsAnotherConnection) {
  Arrive(5);
  Received()[5] = 9'000;
  ASSERT_THAT(Look(), IsEmpty());
  const auto old = MeterOf(5);
  Received()[5] = 0;  // closed, and the number is somebody else's
  ASSERT_THAT(Look(), IsEmpty());
  EXPECT_EQ(watch_.size(), 0u);
  Arrive(5, "10.235.0.4");
  Received()[5] = 9'000;
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_NE(MeterOf(5, "10.235.0.4"), old);
  // Of a connection that is not known nobody looks at the meter.
  MeterOf(7)->Took(1);
}

}  // namespace
}  // namespace fleet::collector
