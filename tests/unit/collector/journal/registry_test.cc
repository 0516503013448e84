#include "collector/journal/registry.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

class HostRegistryTest : public ::testing::Test {
 protected:
  void Take(const SegmentId& id, uint64_t next, bool last = false) {
    ASSERT_THAT(registry_.Admit(id), IsOk());
    registry_.Accept(id, next, last);
    registry_.MakeDurable(id, next);
  }
  HostRegistry registry_;
};

TEST_F(HostRegistryTest, KnowsWhatIsInMemoryAndWhatIsOnTheDisk) {
  EXPECT_EQ(registry_.Of({1, 0}).accepted, 0u);
  registry_.Accept({1, 0}, 5, false);
  EXPECT_EQ(registry_.Of({1, 0}).accepted, 5u);
  EXPECT_EQ(registry_.Of({1, 0}).durable, 0u);
  registry_.MakeDurable({1, 0}, 3);
  EXPECT_EQ(registry_.Of({1, 0}).durable, 3u);
}

TEST_F(HostRegistryTest, WholeSegmentsTurnIntoAFloor) {
  for (uint64_t number = 0; number < 10'000; ++number) Take({1, number}, 3, true);
  EXPECT_EQ(registry_.segments(), 0u);
  EXPECT_TRUE(registry_.Of({1, 9'999}).over);
  EXPECT_FALSE(registry_.Of({1, 10'000}).over);
}

TEST_F(HostRegistryTest, AGapKeepsWhatIsAboveIt) {
  Take({1, 0}, 2);
  Take({1, 1}, 3, true);
  EXPECT_EQ(registry_.segments(), 2u);
  EXPECT_FALSE(registry_.Of({1, 0}).over);
  Take({1, 0}, 4, true);
  EXPECT_EQ(registry_.segments(), 0u);
  EXPECT_TRUE(registry_.Of({1, 1}).over);
}

TEST_F(HostRegistryTest, TheSpoolSaysWhatIsGone) {
  Take({1, 3}, 2);
  Take({1, 5}, 2);
  Take({2, 0}, 1);
  registry_.Announce(1, {{{1, 5}, 4}});
  EXPECT_TRUE(registry_.Of({1, 3}).over);
  EXPECT_EQ(registry_.Of({1, 5}).accepted, 2u);
  EXPECT_TRUE(registry_.Closed({2, 0}));   // its epoch was not named
  EXPECT_FALSE(registry_.Closed({1, 5}));  // two reports are missing
  Take({1, 5}, 4);
  registry_.Announce(1, {{{1, 5}, 4}});
  EXPECT_TRUE(registry_.Closed({1, 5}));
}

TEST_F(HostRegistryTest, WhatLiesBelowAWholeSegmentAndIsNotNamedIsGone) {
  Take({1, 3}, 2);
  Take({1, 5}, 2, true);
  Take({1, 6}, 1);  // the one being written: no hello names it
  registry_.Announce(1, {});
  EXPECT_TRUE(registry_.Of({1, 3}).over);
  EXPECT_TRUE(registry_.Of({1, 5}).over);
  EXPECT_EQ(registry_.Of({1, 6}).accepted, 1u);
  EXPECT_EQ(registry_.segments(), 1u);
  EXPECT_FALSE(registry_.Of({1, 7}).over);
}

TEST_F(HostRegistryTest, ForgetsFirstWhatWillHardlyComeAgain) {
  for (uint64_t epoch = 1; epoch <= HostRegistry::kEpochsMax; ++epoch) Take({epoch, 9}, 1);
  EXPECT_THAT(registry_.Admit({5'000, 0}), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(registry_.Admit({1, 10}), IsOk());
  std::vector<AnnouncedSegment> spool;
  for (uint64_t epoch = 1; epoch < HostRegistry::kEpochsMax; ++epoch) {
    spool.push_back({{epoch, 9}, 2});
  }
  registry_.Announce(1, spool);  // all but the last
  Take({5'000, 0}, 1);
  EXPECT_EQ(registry_.epochs(), HostRegistry::kEpochsMax);
  EXPECT_EQ(registry_.Of({1, 9}).accepted, 1u);
  EXPECT_EQ(registry_.Of({HostRegistry::kEpochsMax, 9}).accepted, 0u);
}

TEST_F(HostRegistryTest, HugeNumbersAreAsGoodAsAny) {
  constexpr uint64_t kHuge = ~uint64_t{0};
  for (uint64_t i = 0; i < HostRegistry::kSegmentsMax; ++i) Take({1, kHuge - i}, kHuge);
  EXPECT_THAT(registry_.Admit({1, 5}), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(registry_.segments(), HostRegistry::kSegmentsMax);
}

TEST_F(HostRegistryTest, ComesBackFromTheCatalog) {
  Take({1, 0}, 3, true);
  Take({1, 1}, 2);
  registry_.Accept({1, 1}, 7, true);  // in memory only
  std::string bytes;
  registry_.Put(bytes);
  HostRegistry read;
  segment::Reader in(bytes);
  ASSERT_TRUE(read.Get(in));
  EXPECT_TRUE(read.Of({1, 0}).over);
  EXPECT_EQ(read.Of({1, 1}).accepted, 2u);
  EXPECT_FALSE(read.Closed({1, 1}));
  for (size_t size = 0; size < bytes.size(); ++size) {
    HostRegistry cut;
    segment::Reader part(absl::string_view(bytes).substr(0, size));
    EXPECT_FALSE(cut.Get(part)) << size;
  }
}

}  // namespace
}  // namespace fleet::collector
