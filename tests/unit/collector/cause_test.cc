#include "collector/cause.h"

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

TEST(CauseTest, ResolvesParentsOfTheSameHost) {
  EXPECT_EQ(ResolveParent("tempo", "./redis"), "tempo/redis");
  EXPECT_EQ(ResolveParent("tempo", "./disk//data"), "tempo/disk//data");
  EXPECT_EQ(ResolveParent("tempo", "parasect/tinc/tempo"), "parasect/tinc/tempo");
  EXPECT_EQ(ResolveParent("tempo", ""), "");
}

TEST(CauseTest, FollowsFailingParentsToTheRoot) {
  CauseGraph graph;
  graph.Add("tempo/disk//data", Verdict::kCrit, {});
  graph.Add("tempo/redis", Verdict::kCrit, {"tempo/disk//data"});
  graph.Add("parasect/sidekiq", Verdict::kUnknown, {"tempo/redis"});
  EXPECT_EQ(graph.RootCause("parasect/sidekiq"), "tempo/disk//data");
  EXPECT_EQ(graph.RootCause("tempo/redis"), "tempo/disk//data");
  EXPECT_EQ(graph.RootCause("tempo/disk//data"), "");
  EXPECT_EQ(graph.RootCause("nobody"), "");
}

TEST(CauseTest, OnlyAFailingParentIsACause) {
  CauseGraph graph;
  graph.Add("a/redis", Verdict::kOk, {});
  graph.Add("a/load", Verdict::kWarn, {});
  graph.Add("a/sidekiq", Verdict::kCrit, {"a/redis", "a/gone", "a/load"});
  graph.Add("a/web", Verdict::kWarn, {"a/load"});
  EXPECT_EQ(graph.RootCause("a/sidekiq"), "");
  EXPECT_EQ(graph.RootCause("a/web"), "a/load");
}

TEST(CauseTest, EndsOnCycles) {
  CauseGraph graph;
  graph.Add("a", Verdict::kCrit, {"b"});
  graph.Add("b", Verdict::kCrit, {"c"});
  graph.Add("c", Verdict::kCrit, {"b"});
  graph.Add("d", Verdict::kCrit, {"d"});
  EXPECT_EQ(graph.RootCause("a"), "c");
  EXPECT_EQ(graph.RootCause("b"), "c");
  EXPECT_EQ(graph.RootCause("d"), "");
}

TEST(CauseTest, BoundsTheChain) {
  CauseGraph graph;
  for (int i = 0; i < 1000; ++i) {
    graph.Add(absl::StrCat("h", i), Verdict::kCrit, {absl::StrCat("h", i + 1)});
  }
  EXPECT_EQ(graph.RootCause("h0"), "h15");
}

}  // namespace
}  // namespace fleet::collector
