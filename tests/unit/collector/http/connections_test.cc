#include "collector/http/connections.h"

#include "tests/support/fake_clock.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int>& Shut() {
  static std::vector<int> shut;
  return shut;
}

class ConnectionTableTest : public ::testing::Test {
 protected:
  ConnectionTableTest() { Shut().clear(); }

  test::FakeClock clock_;
  ConnectionTable table_{{.total = 4,
                          .per_address = 2,
                          .request = absl::Seconds(10),
                          .idle = absl::Seconds(120),
                          .response = absl::Seconds(60),
                          .streams = 2,
                          .stall = absl::Seconds(1)},
                         clock_,
                         [](int fd) { Shut().push_back(fd); }};
};

TEST_F(ConnectionTableTest, TheLongestWaitingGivesWay) {
  table_.Open(3, "10.0.0.1");
  clock_.Advance(absl::Seconds(1));
  table_.Open(4, "10.0.0.1");
  EXPECT_THAT(Shut(), IsEmpty());
  table_.Open(5, "10.0.0.1");
  EXPECT_THAT(Shut(), ElementsAre(3));
  EXPECT_EQ(table_.shut_for_limit(), 1);
}

TEST_F(ConnectionTableTest, WhoIsBeingAnsweredStays) {
  const auto first = table_.Open(3, "10.0.0.1");
  const auto second = table_.Open(4, "10.0.0.1");
  table_.Answering(first);
  table_.Answering(second);
  table_.Open(5, "10.0.0.1");
  EXPECT_THAT(Shut(), ElementsAre(5)) << "all others are busy: the new one is refused";
  table_.Answered(second);
  table_.Open(6, "10.0.0.1");
  EXPECT_THAT(Shut(), ElementsAre(5, 4));
}

TEST_F(ConnectionTableTest, WhoReadsSlowestGivesWay) {
  const auto slow = table_.Open(3, "10.0.0.1");
  const auto reader = table_.Open(4, "10.0.0.1");
  table_.Answering(slow);
  table_.Answering(reader);
  EXPECT_TRUE(table_.Streaming(slow));
  EXPECT_TRUE(table_.Streaming(reader));
  clock_.Advance(absl::Milliseconds(999));
  table_.Progress(reader);
  clock_.Advance(absl::Milliseconds(1));
  table_.Open(5, "10.0.0.1");
  EXPECT_THAT(Shut(), ElementsAre(3));
  EXPECT_EQ(table_.shut_for_stall(), 1);
  EXPECT_EQ(table_.shut_for_limit(), 0);
}

TEST_F(ConnectionTableTest, StreamsAreFewAndStalledOnesGiveWay) {
  const auto first = table_.Open(3, "10.0.0.1");
  const auto second = table_.Open(4, "10.0.0.2");
  const auto third = table_.Open(5, "10.0.0.3");
  for (const auto id : {first, second, third}) table_.Answering(id);
  EXPECT_TRUE(table_.Streaming(first));
  EXPECT_TRUE(table_.Streaming(second));
  EXPECT_FALSE(table_.Streaming(third)) << "both read";
  clock_.Advance(absl::Seconds(2));
  table_.Progress(first);
  EXPECT_TRUE(table_.Streaming(third));
  EXPECT_THAT(Shut(), ElementsAre(4));
  table_.Answered(first);
  EXPECT_TRUE(table_.Streaming(table_.Open(6, "10.0.0.4"))) << "one has ended";
}

TEST_F(ConnectionTableTest, CountsWhoLeftWithoutARequest) {
  table_.Closed(table_.Open(3, "10.0.0.1"));
  const auto asked = table_.Open(4, "10.0.0.1");
  table_.Answering(asked);
  table_.Answered(asked);
  table_.Closed(asked);
  EXPECT_EQ(table_.without_request(), 1);
}

TEST_F(ConnectionTableTest, OneAddressDoesNotKeepOthersOut) {
  for (int fd = 10; fd < 50; ++fd) table_.Open(fd, "10.0.0.1");
  Shut().clear();
  table_.Open(3, "10.0.0.2");
  table_.Open(4, "10.0.0.3");
  EXPECT_THAT(Shut(), IsEmpty());
  table_.Open(5, "10.0.0.4");
  EXPECT_THAT(Shut(), ElementsAre(48)) << "the total is reached";
}

TEST_F(ConnectionTableTest, EveryPhaseHasItsDeadline) {
  table_.Open(3, "10.0.0.1");  // never sends a whole request, however it drips
  const auto idle = table_.Open(4, "10.0.0.2");
  table_.Answering(idle);
  table_.Answered(idle);
  table_.Answering(table_.Open(5, "10.0.0.3"));
  clock_.Advance(absl::Seconds(10));
  table_.ShutOverdue();
  EXPECT_THAT(Shut(), IsEmpty());
  clock_.Advance(absl::Seconds(1));
  table_.ShutOverdue();
  EXPECT_THAT(Shut(), ElementsAre(3));
  clock_.Advance(absl::Seconds(50));
  table_.ShutOverdue();
  EXPECT_THAT(Shut(), ElementsAre(3, 5));
  clock_.Advance(absl::Seconds(60));
  table_.ShutOverdue();
  table_.ShutOverdue();
  EXPECT_THAT(Shut(), ElementsAre(3, 5, 4)) << "and each is shut once";
  EXPECT_EQ(table_.shut_for_deadline(), 3);
}

TEST_F(ConnectionTableTest, AClosedConnectionIsForgotten) {
  const auto id = table_.Open(3, "10.0.0.1");
  table_.Closed(id);
  EXPECT_EQ(table_.size(), 0);
  table_.Answering(id);
  clock_.Advance(absl::Hours(1));
  table_.ShutOverdue();
  EXPECT_THAT(Shut(), IsEmpty());
}

}  // namespace
}  // namespace fleet::collector
