#include "agent/checks/disk_judge.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

/// `used` of 1000 GB, of which root keeps 50.
FilesystemFacts Used(double used) {
  FilesystemFacts facts;
  facts.usage = FilesystemUsage{.size_bytes = 1000e9,
                                .free_bytes = 1000e9 - used,
                                .available_bytes = 950e9 - used,
                                .files = 1000,
                                .files_free = 500};
  return facts;
}

std::string Judged(const FilesystemFacts& facts) {
  const FilesystemJudgement judgement = JudgeFilesystem(facts, kNow, DiskOptions());
  return absl::StrCat(VerdictName(judgement.verdict), " ", judgement.reason);
}

TEST(JudgeFilesystemTest, CountsSpaceAsDfDoes) {
  EXPECT_EQ(Judged(Used(475e9)), "ok 50.0 % used, 442 GiB free");
  EXPECT_EQ(Judged(Used(855e9)), "warn 90.0 % used");
  EXPECT_EQ(Judged(Used(912e9)), "crit 96.0 % used");
  EXPECT_EQ(Judged(Used(950e9)), "crit 100.0 % used");
}

TEST(JudgeFilesystemTest, CountsInodesWhereThereAreAny) {
  FilesystemFacts facts = Used(475e9);
  facts.usage->files_free = 70;
  EXPECT_EQ(Judged(facts), "warn 93.0 % of inodes used; 50.0 % used, 442 GiB free");
  facts.usage->files_free = 10;
  EXPECT_EQ(Judged(facts), "crit 99.0 % of inodes used; 50.0 % used, 442 GiB free");
  facts.usage->files = 0;
  facts.usage->files_free = 0;
  EXPECT_EQ(Judged(facts), "ok 50.0 % used, 442 GiB free");
}

TEST(JudgeFilesystemTest, SaysWhenItIsFull) {
  FilesystemFacts facts = Used(855e9);
  facts.full_in = absl::Hours(24 * 6);
  EXPECT_EQ(Judged(facts), "warn 90.0 % used, full in 6 d");
  facts = Used(475e9);
  facts.full_in = absl::Hours(24 * 6);
  EXPECT_EQ(Judged(facts), "ok 50.0 % used, 442 GiB free, full in 6 d");
  facts.full_in = absl::Hours(50);
  EXPECT_EQ(Judged(facts), "warn 50.0 % used, full in 2 d");
  facts.full_in = absl::Hours(3);
  EXPECT_EQ(Judged(facts), "crit 50.0 % used, full in 3 h");
  facts.full_in = absl::Hours(24 * 90);
  EXPECT_EQ(Judged(facts), "ok 50.0 % used, 442 GiB free");
}

TEST(JudgeFilesystemTest, ReadOnlyIsAFailureOfWhatWasWritable) {
  FilesystemFacts facts = Used(912e9);
  facts.read_only = true;
  EXPECT_EQ(Judged(facts), "ok read-only");
  facts.was_writable = true;
  EXPECT_EQ(Judged(facts), "crit read-only, was writable; 96.0 % used");
}

TEST(JudgeFilesystemTest, NewErrorsAreCritOldOnesAWarning) {
  FilesystemFacts facts = Used(475e9);
  facts.errors = FilesystemErrors();
  EXPECT_EQ(Judged(facts), "ok 50.0 % used, 442 GiB free");
  facts.errors =
      FilesystemErrors{.count = 4, .last = kNow - absl::Minutes(5), .where = "ext4_lookup"};
  EXPECT_EQ(Judged(facts),
            "crit 4 filesystem errors, last 5 min ago in ext4_lookup; 50.0 % used, 442 GiB free");
  facts.errors = FilesystemErrors{.count = 4, .last = kNow - absl::Hours(24 * 9), .where = ""};
  EXPECT_EQ(Judged(facts),
            "warn 4 filesystem errors, last 9 d ago, run e2fsck; 50.0 % used, 442 GiB free");
  facts.errors->grew = true;
  EXPECT_EQ(Judged(facts), "crit 4 filesystem errors, last 9 d ago; 50.0 % used, 442 GiB free");
  facts.usage.reset();  // a fixture host
  EXPECT_EQ(Judged(facts), "crit 4 filesystem errors, last 9 d ago");
}

}  // namespace
}  // namespace fleet::agent
