// What the spool makes of files that the disk has not kept.
#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "common/segment/encoder.h"
#include "tests/support/matchers.h"
#include "tests/support/spool_fixture.h"

namespace fleet::agent {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::SpoolFixture;
using ::fleet::test::SpoolReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kReports = 6;

class SpoolDamageTest : public ::testing::Test, public SpoolFixture {
 protected:
  SpoolDamageTest() {
    SegmentEncoder encoder({7, 3}, clock.Now());
    for (int i = 0; i < kReports; ++i) {
      EXPECT_THAT(encoder.Append(SpoolReport("load", i, clock.Now()), segment_), IsOk());
      ends_.push_back(segment_.size());
    }
  }

  /// Starts a spool that finds `bytes` as the file of that segment.
  void StartOn(const std::string& bytes) {
    spool.reset();
    for (const std::string& name : FileNames()) {
      EXPECT_THAT(files.Remove(absl::StrCat(options.directory, "/", name)), IsOk());
    }
    EXPECT_THAT(MakeDirectories(files, options.directory), IsOk());
    SpoolFileName name;
    name.sequence = 1;
    name.epoch = 7;
    name.number = 3;
    EXPECT_THAT(
        WriteWhole(files, absl::StrCat(options.directory, "/", FormatSpoolFileName(name)), bytes),
        IsOk());
    Start();
    Settle();
  }
  std::vector<std::string> FirstReports(size_t count) const {
    std::vector<std::string> lines;
    for (size_t i = 0; i < count; ++i) lines.push_back(absl::StrCat("load ", i));
    return lines;
  }
  /// How many whole records end at or before `bytes`.
  size_t Whole(size_t bytes) const {
    size_t count = 0;
    while (count < ends_.size() && ends_[count] <= bytes) ++count;
    return count;
  }

  std::string segment_;
  std::vector<size_t> ends_;
};

TEST_F(SpoolDamageTest, KeepsEveryWholeRecordOfAFileCutAtAnyByte) {
  for (size_t size = 0; size <= segment_.size(); ++size) {
    SCOPED_TRACE(size);
    StartOn(segment_.substr(0, size));
    const size_t whole = Whole(size);
    EXPECT_EQ(
        spool->stats(0).damaged_bytes,
        whole == 0 ? size - std::min<size_t>(size, size >= 33 ? 33 : 0) : size - ends_[whole - 1]);
    EXPECT_EQ(Drain(0), FirstReports(whole));
    EXPECT_THAT(FileNames(), IsEmpty());
  }
}

TEST_F(SpoolDamageTest, KeepsEveryWholeRecordBeforeABitThatFlippedAtAnyByte) {
  for (size_t at = 0; at < segment_.size(); ++at) {
    SCOPED_TRACE(at);
    std::string bytes = segment_;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    StartOn(bytes);
    const size_t whole = at < kSegmentHeaderBytes ? 0 : Whole(at);
    EXPECT_GT(spool->stats(0).damaged_bytes, 0u);
    EXPECT_EQ(Drain(0), FirstReports(whole));
    // What cannot be told from any other file is set aside, for somebody to look at.
    if (at < kSegmentHeaderBytes) {
      EXPECT_THAT(FileNames(), ElementsAre(EndsWith(".seg.damaged")));
    } else {
      EXPECT_THAT(FileNames(), IsEmpty());
    }
  }
}

TEST_F(SpoolDamageTest, ATornTailIsCutOnceAndForAll) {
  StartOn(segment_.substr(0, ends_[3] + 2));
  EXPECT_EQ(spool->stats(0).damaged_bytes, 2u);
  spool.reset();
  Start();
  Settle();
  EXPECT_EQ(spool->stats(0).damaged_bytes, 0u);
  EXPECT_EQ(Drain(0), FirstReports(4));
}

TEST_F(SpoolDamageTest, DamageAfterTheStartEndsTheSegmentWhereItIs) {
  StartOn(segment_);
  ASSERT_THAT(spool->ClosedSegments(), SizeIs(1));
  const std::string path = absl::StrCat(options.directory, "/", FileNames()[0]);
  EXPECT_THAT(files.Truncate(path, ends_[2] + 3), IsOk());
  spool->OpenBacklog(0);
  Settle();
  const auto batch = spool->TakeBacklog(0);
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->records.size(), ends_[2]);
  spool->Ack(0, batch->segment, 3);
  Settle();
  while (auto more = spool->TakeBacklog(0)) {
    EXPECT_TRUE(more->last);
    EXPECT_EQ(more->records, "");
    spool->Ack(0, more->segment, 3);
    Settle();
  }
  EXPECT_EQ(spool->stats(0).dropped_reports, 3u);
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
}

TEST_F(SpoolDamageTest, AStrangersFilesAreLeftAlone) {
  StartOn(segment_);
  EXPECT_THAT(WriteWhole(files, absl::StrCat(options.directory, "/README"), "hello"), IsOk());
  EXPECT_THAT(WriteWhole(files, absl::StrCat(options.directory, "/acks"), "nonsense"), IsOk());
  spool.reset();
  Start();
  Settle();
  EXPECT_EQ(Drain(0), FirstReports(kReports));
  EXPECT_THAT(FileNames(), Contains("README"));
}

}  // namespace
}  // namespace fleet::agent
