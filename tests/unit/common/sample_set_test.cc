#include "common/sample_set.h"

#include "common/report.h"
#include "tests/support/matchers.h"

namespace fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr MetricDesc kLoad = {"node_load1", MetricType::kGauge, "1m load average."};
constexpr MetricDesc kQueue = {"queue_jobs", MetricType::kGauge, "Jobs in the queue."};
constexpr MetricDesc kMemory = {"node_memory_*", MetricType::kGauge, "Memory information %s."};

struct Sample {
  const MetricDesc* desc;
  std::string rest;  // of a wildcard family
  std::vector<Label> labels;
  double value;
};

void Fill(SampleSet& samples, const std::vector<Sample>& all) {
  for (const Sample& sample : all) {
    if (sample.rest.empty()) {
      samples.Add(*sample.desc, sample.labels, sample.value);
    } else {
      samples.AddNamed(*sample.desc, sample.rest, sample.labels, sample.value);
    }
  }
}

/// Whether a set that expected `first` and got `second` is as one that got `second` alone.
void ExpectAsAlone(const std::vector<Sample>& first, const std::vector<Sample>& second) {
  SampleSet last;
  Fill(last, first);
  SampleSet next = last.Next();
  EXPECT_EQ(next.size(), 0u);
  Fill(next, second);
  SampleSet alone;
  Fill(alone, second);
  EXPECT_THAT(ExpositionLines(next), ElementsAreArray(ExpositionLines(alone)));
  EXPECT_TRUE(next.SameSeries(alone));
  EXPECT_TRUE(alone.SameSeries(next));
  EXPECT_THAT(next.families(), ElementsAreArray(alone.families()));
  EXPECT_THAT(next.series(), ElementsAreArray(alone.series()));
  // What the first reported stays as it was.
  SampleSet again;
  Fill(again, first);
  EXPECT_THAT(ExpositionLines(last), ElementsAreArray(ExpositionLines(again)));
}

const std::vector<Sample> kBase = {{&kLoad, "", {}, 1},
                                   {&kQueue, "", {{"queue", "a"}, {"kind", "x"}}, 2},
                                   {&kQueue, "", {{"queue", "b"}, {"kind", "x"}}, 3},
                                   {&kMemory, "MemFree_bytes", {}, 4}};

TEST(SampleSetTest, TheSameSeriesAreSharedWithNewValues) {
  SampleSet last;
  Fill(last, kBase);
  SampleSet next = last.Next();
  std::vector<Sample> again = kBase;
  again[0].value = 10;
  Fill(next, again);
  // One text for both, and no comparison of it.
  EXPECT_EQ(next.labels(1).data(), last.labels(1).data());
  EXPECT_TRUE(next.SameSeries(last));
  EXPECT_THAT(ExpositionLines(next),
              ElementsAre("node_load1 10", "queue_jobs{queue=\"a\",kind=\"x\"} 2",
                          "queue_jobs{queue=\"b\",kind=\"x\"} 3", "node_memory_MemFree_bytes 4"));
  EXPECT_EQ(last.values()[0], 1);
}

TEST(SampleSetTest, SeriesThatChangeAreTheirOwn) {
  ExpectAsAlone(kBase, kBase);
  for (size_t i = 0; i < kBase.size(); ++i) {
    std::vector<Sample> other = kBase;
    other.erase(other.begin() + static_cast<ptrdiff_t>(i));
    ExpectAsAlone(kBase, other);
    ExpectAsAlone(other, kBase);
    other = kBase;
    other.insert(other.begin() + static_cast<ptrdiff_t>(i), {&kQueue, "", {{"queue", "new"}}, 5});
    ExpectAsAlone(kBase, other);
    ExpectAsAlone(other, kBase);
  }
  std::vector<Sample> swapped = kBase;
  std::swap(swapped[1], swapped[2]);
  ExpectAsAlone(kBase, swapped);
  std::vector<Sample> renamed = kBase;
  renamed[3].rest = "MemTotal_bytes";
  ExpectAsAlone(kBase, renamed);
  ExpectAsAlone(kBase, {});
}

TEST(SampleSetTest, AFewerAndThenAllAgainIsStillExpected) {
  SampleSet all;
  Fill(all, kBase);
  SampleSet first = all.Next();
  Fill(first, {kBase[0], kBase[1]});
  EXPECT_EQ(first.families().size(), 2u);
  EXPECT_FALSE(first.SameSeries(all));
  SampleSet again = first.Next();
  Fill(again, kBase);
  EXPECT_TRUE(again.SameSeries(all));
  EXPECT_EQ(again.labels(1).data(), all.labels(1).data());
}

TEST(SampleSetTest, ValuesThatLookLikeTextAreNotTakenForIt) {
  const auto one = [](std::vector<Label> labels) {
    return std::vector<Sample>{{&kQueue, "", std::move(labels), 1}};
  };
  // What the first is written as is what the second says, letter by letter.
  ExpectAsAlone(one({{"a", "x"}, {"b", "y"}}), one({{"a", "x\",b=\"y"}}));
  ExpectAsAlone(one({{"a", "x\\"}}), one({{"a", "x\\\\"}}));
  ExpectAsAlone(one({{"a", "x\n"}}), one({{"a", "x\\n"}}));
  ExpectAsAlone(one({{"a", "?"}}), one({{"a", "\xff"}}));
  const std::string too_long(2000, 'a');
  ExpectAsAlone(one({{"a", too_long}}), one({{"a", too_long}}));
  ExpectAsAlone(one({{"a", "ü\"\\"}}), one({{"a", "ü\"\\"}}));
  ExpectAsAlone(one({{"a", ""}}), one({}));
}

TEST(SampleSetTest, RawSeriesAreSharedToo) {
  const SampleSet::Family family{"minio_up", MetricType::kGauge, "Up."};
  const SampleSet::Family other{"minio_up", MetricType::kGauge, "Other words."};
  SampleSet last;
  last.AddRaw(family, "a=\"1\"", 1);
  SampleSet next = last.Next();
  next.AddRaw(family, "a=\"1\"", 2);
  EXPECT_EQ(next.labels(0).data(), last.labels(0).data());
  SampleSet third = next.Next();
  third.AddRaw(other, "a=\"1\"", 3);
  EXPECT_FALSE(third.SameSeries(last));
  EXPECT_EQ(third.families()[0].help, "Other words.");
}

TEST(SampleSetTest, ACopyGoesItsOwnWay) {
  SampleSet shared;
  Fill(shared, kBase);
  shared.Next();
  for (const bool is_shared : {false, true}) {
    SampleSet set;
    Fill(set, kBase);
    if (is_shared) set.Next();
    SampleSet copy = set;
    copy.Add(kLoad, {{"more", "1"}}, 9);
    EXPECT_EQ(set.size(), kBase.size());
    EXPECT_EQ(copy.size(), kBase.size() + 1);
    EXPECT_EQ(copy.labels(kBase.size()), "more=\"1\"");
    EXPECT_EQ(set.series().size(), kBase.size());
  }
}

}  // namespace
}  // namespace fleet
