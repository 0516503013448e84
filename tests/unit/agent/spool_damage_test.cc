// What the spool makes of files that the disk has not kept.
#include <algorithm>

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

  /// Starts a spool that finds `bytes` as the file of that segment, and `next` as that of the next.
  void StartOn(const std::string& bytes, const std::string& next = "") {
    spool.reset();
    for (const std::string& name : FileNames()) {
      EXPECT_THAT(files.Remove(absl::StrCat(options.directory, "/", name)), IsOk());
    }
    EXPECT_THAT(MakeDirectories(files, options.directory), IsOk());
    Put(1, 3, bytes);
    if (!next.empty()) Put(2, 4, next);
    Start();
    Settle();
  }
  void Put(uint64_t sequence, uint64_t number, const std::string& bytes) {
    SpoolFileName name;
    name.sequence = sequence;
    name.epoch = 7;
    name.number = number;
    EXPECT_THAT(
        WriteWhole(files, absl::StrCat(options.directory, "/", FormatSpoolFileName(name)), bytes),
        IsOk());
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
  /// Of a file of `size` bytes, what is no good when `whole` records are.
  uint64_t Rest(size_t size, size_t whole) const {
    if (size < kSegmentHeaderBytes) return size;
    return size - (whole == 0 ? kSegmentHeaderBytes : ends_[whole - 1]);
  }

  std::string segment_;
  std::vector<size_t> ends_;
};

TEST_F(SpoolDamageTest, KeepsEveryWholeRecordOfAFileCutAtAnyByte) {
  for (size_t size = 0; size <= segment_.size(); ++size) {
    SCOPED_TRACE(size);
    StartOn(segment_.substr(0, size));
    const size_t whole = Whole(size);
    EXPECT_EQ(spool->stats(0).damaged_bytes, Rest(size, whole));
    EXPECT_EQ(Drain(0), FirstReports(whole));
    EXPECT_THAT(FileNames(), IsEmpty());
  }
}

TEST_F(SpoolDamageTest, KeepsEveryWholeRecordBeforeAnyBitThatFlipped) {
  std::string next;
  SegmentEncoder encoder({7, 4}, clock.Now());
  EXPECT_THAT(encoder.Append(SpoolReport("load", 1000, clock.Now()), next), IsOk());
  for (size_t bit = 0; bit < segment_.size() * 8; ++bit) {
    SCOPED_TRACE(bit);
    const size_t at = bit / 8;
    std::string bytes = segment_;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (bit % 8)));
    StartOn(bytes, next);
    const bool in_header = at < kSegmentHeaderBytes;
    const size_t whole = in_header ? 0 : Whole(at);
    EXPECT_EQ(spool->stats(0).damaged_bytes, in_header ? bytes.size() : Rest(bytes.size(), whole));
    std::vector<std::string> expected = FirstReports(whole);
    expected.push_back("load 1000");  // what comes after it is sent whole
    EXPECT_EQ(Drain(0), expected);
    // What cannot be told from any other file is set aside, for somebody to look at.
    if (in_header) {
      EXPECT_THAT(FileNames(), ElementsAre(EndsWith(".seg.damaged")));
    } else {
      EXPECT_THAT(FileNames(), IsEmpty());
    }
    if (HasFailure()) return;
  }
}

TEST_F(SpoolDamageTest, KeepsWhatLiesBeforeABlockThatTheDiskDoesNotGive) {
  std::string large;
  SegmentEncoder encoder({7, 3}, clock.Now());
  std::vector<size_t> ends;
  while (large.size() < size_t{3} * 4096) {
    const auto value = static_cast<double>(ends.size());
    EXPECT_THAT(encoder.Append(SpoolReport("load", value, clock.Now()), large), IsOk());
    ends.push_back(large.size());
  }
  files.FailReads(8192, absl::UnknownError("Input/output error"));
  StartOn(large);
  const auto whole =
      static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), size_t{8192}) - ends.begin());
  EXPECT_EQ(spool->stats(0).damaged_bytes, large.size() - ends[whole - 1]);
  EXPECT_EQ(Drain(0), FirstReports(whole));
  // Of this one not even the header is left.
  files.FailReads(0, absl::UnknownError("Input/output error"));
  StartOn(segment_);
  EXPECT_EQ(spool->stats(0).damaged_bytes, segment_.size());
  EXPECT_THAT(FileNames(), ElementsAre(EndsWith(".seg.damaged")));
}

TEST_F(SpoolDamageTest, LeavesAFileThatCannotBeReadNowToTheNextStart) {
  files.FailReads(0, absl::ResourceExhaustedError("Too many open files"));
  StartOn(segment_);
  EXPECT_EQ(spool->stats(0).damaged_bytes, 0u);
  EXPECT_THAT(Drain(0), IsEmpty());
  files.FailReads(0, absl::OkStatus());
  spool.reset();
  Start();
  Settle();
  EXPECT_EQ(Drain(0), FirstReports(kReports));
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
