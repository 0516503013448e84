#include <gmock/gmock.h>

#include "collector/journal/catalog.h"
#include "collector/journal/file_name.h"
#include "collector/journal/log.h"
#include "collector/journal/log_entry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forgetful_file_system.h"
#include "tests/support/journal_agent.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;

LogEntry EntryOf(const test::TestSegment& segment, uint64_t from, uint64_t to) {
  LogEntry entry;
  entry.host = "tempo";
  entry.id = segment.id();
  entry.first_index = from;
  entry.count = to - from;
  entry.data = segment.Piece("tempo", from, to).data;
  entry.created = absl::FromUnixMicros(1'700'000'000'123'456);
  entry.offset = absl::Microseconds(-42);
  return entry;
}

class LogEntryTest : public ::testing::Test {
 protected:
  LogEntryTest() {
    for (int i = 0; i < 3; ++i) segment_.Add(i);
  }
  test::TestSegment segment_{{0xABCDEF, 12}, absl::FromUnixSeconds(1'700'000'000)};
};

TEST_F(LogEntryTest, ComesBackAsItWas) {
  std::string bytes;
  LogEntry first = EntryOf(segment_, 0, 2);
  first.last = true;
  PutLogEntry(first, bytes);
  PutLogEntry(EntryOf(segment_, 2, 3), bytes);
  absl::string_view rest = bytes;
  LogEntry read;
  ASSERT_THAT(ConsumeLogEntry(rest, read), IsOk());
  EXPECT_EQ(read.host, "tempo");
  EXPECT_EQ(read.id, segment_.id());
  EXPECT_EQ(read.first_index, 0u);
  EXPECT_EQ(read.count, 2u);
  EXPECT_TRUE(read.last);
  EXPECT_EQ(read.created, first.created);
  EXPECT_EQ(read.offset, first.offset);
  EXPECT_EQ(read.data, first.data);
  ASSERT_THAT(ConsumeLogEntry(rest, read), IsOk());
  EXPECT_EQ(read.end(), 3u);
  EXPECT_FALSE(read.last);
  EXPECT_TRUE(rest.empty());
}

TEST_F(LogEntryTest, EveryBitAndEveryCutIsNoticed) {
  std::string whole;
  PutLogEntry(EntryOf(segment_, 0, 3), whole);
  LogEntry read;
  for (size_t size = 0; size < whole.size(); ++size) {
    absl::string_view cut = absl::string_view(whole).substr(0, size);
    EXPECT_THAT(ConsumeLogEntry(cut, read), HasCode(absl::StatusCode::kDataLoss)) << size;
    EXPECT_EQ(cut.size(), size);
  }
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    absl::string_view rest = flipped;
    EXPECT_THAT(ConsumeLogEntry(rest, read), HasCode(absl::StatusCode::kDataLoss)) << bit;
  }
}

TEST_F(LogEntryTest, RecordsStartWhereAsked) {
  const LogEntry entry = EntryOf(segment_, 0, 3);
  absl::string_view records;
  ASSERT_THAT(RecordsFrom(entry, 0, records), IsOk());
  EXPECT_EQ(records, segment_.bytes());
  ASSERT_THAT(RecordsFrom(entry, 2, records), IsOk());
  EXPECT_EQ(records, segment_.Piece("", 2, 3).data);
  ASSERT_THAT(RecordsFrom(entry, 3, records), IsOk());
  EXPECT_EQ(records, "");
  EXPECT_THAT(RecordsFrom(entry, 4, records), HasCode(absl::StatusCode::kDataLoss));
}

TEST(FileNameTest, SegmentsSortByCreation) {
  const SegmentName name{
      {255, 12}, absl::FromUnixMicros(1'700'000'000'123'456), absl::Microseconds(-1'500'000)};
  const std::string text = MakeSegmentName(name);
  EXPECT_EQ(text, "01700000000123456_-1500000_00000000000000ff_12.seg");
  EXPECT_EQ(ParseSegmentName(text), name);
  EXPECT_LT(text, MakeSegmentName({{1, 1}, absl::FromUnixMicros(1'700'000'000'123'457), {}}));
}

TEST(FileNameTest, OtherNamesAreNotOurs) {
  for (const char* text :
       {"", ".seg", "a.seg", "1_2_3_4.seg", "01700000000123456_0_00000000000000ff_12.seg.damaged",
        "01700000000123456_0_00000000000000ff_12.seg.new", "01700000000123456_0_ff_12.seg",
        "01700000000123456_00_00000000000000ff_12.seg",
        "01700000000123456_0_00000000000000FF_1.seg",
        "99999999999999999999_0_00000000000000ff_12.seg",
        "01700000000123456_0_00000000000000ff_-1.seg"}) {
    EXPECT_EQ(ParseSegmentName(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseLogName("000000000012.log"), 12u);
  for (const char* text : {"12.log", "000000000012", "00000000000x.log", "000000000012.log.new"}) {
    EXPECT_EQ(ParseLogName(text), std::nullopt) << text;
  }
}

TEST(CatalogTest, ComesBackAsItWasAndNoticesDamage) {
  HostRegistry registry;
  registry.Accept({7, 3}, 5, false);
  registry.MakeDurable({7, 3}, 5);
  std::string bytes;
  PutCatalogHeader(1, bytes);
  PutCatalogHost("tempo", absl::FromUnixSeconds(1'700'000'000), registry, bytes);
  segment::PutVarint(0, bytes);  // no files
  PutCatalogEnd(bytes);
  const auto hosts = ParseCatalog(bytes);
  ASSERT_THAT(hosts, IsOk());
  ASSERT_EQ(hosts->size(), 1u);
  EXPECT_EQ(hosts->front().name, "tempo");
  EXPECT_EQ(hosts->front().registry.Of({7, 3}).durable, 5u);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_THAT(ParseCatalog(bytes.substr(0, i)), HasCode(absl::StatusCode::kDataLoss));
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 4);
    EXPECT_THAT(ParseCatalog(flipped), HasCode(absl::StatusCode::kDataLoss)) << i;
  }
}

class JournalLogTest : public LogEntryTest {
 protected:
  std::vector<uint64_t> Replay(JournalLog& log, uint64_t number) {
    std::vector<uint64_t> ends;
    EXPECT_THAT(log.Replay(
                    number,
                    [&](const LogEntry& entry) {
                      ends.push_back(entry.end());
                      return absl::OkStatus();
                    },
                    scan_),
                IsOk());
    return ends;
  }
  std::string Entry(uint64_t from, uint64_t to) {
    std::string bytes;
    PutLogEntry(EntryOf(segment_, from, to), bytes);
    return bytes;
  }

  test::FakeClock clock_;
  test::ForgetfulFileSystem files_;
  JournalLog::Scan scan_;
};

TEST_F(JournalLogTest, AFileIsFollowedByTheNextWhenItIsLongOrOld) {
  JournalLog log(files_, "/log", 50);
  ASSERT_THAT(log.Open(), IsOk());
  EXPECT_THAT(log.Commit(Entry(0, 1), clock_.SteadyNow()), test::IsOkAnd(1u));
  EXPECT_THAT(log.Commit(Entry(1, 2), clock_.SteadyNow()), test::IsOkAnd(2u));
  clock_.Advance(JournalLog::kFileAgeMax);
  EXPECT_THAT(log.Commit(Entry(2, 3), clock_.SteadyNow()), test::IsOkAnd(3u));
  EXPECT_THAT(log.RemoveBelow(99), IsOk());
  EXPECT_EQ(log.files(), 1u);  // the one that is written stays
  EXPECT_THAT(Replay(log, 3), ElementsAre(3));
}

TEST_F(JournalLogTest, ATornTailIsCutAndCounted) {
  const std::string entries = Entry(0, 1) + Entry(1, 2);
  for (size_t cut = 0; cut <= entries.size(); ++cut) {
    test::ForgetfulFileSystem files;
    ASSERT_THAT(MakeDirectories(files, "/log"), IsOk());
    std::string bytes;
    PutLogHeader(4, bytes);
    bytes.append(entries, 0, cut);
    ASSERT_THAT((*files.Create("/log/000000000004.log"))->Append(bytes), IsOk());
    JournalLog log(files, "/log", 1 << 20);
    ASSERT_THAT(log.Open(), IsOk());
    EXPECT_EQ(log.current(), 5u);
    scan_ = {};
    const size_t whole = (cut >= Entry(0, 1).size() ? 1 : 0) + (cut == entries.size() ? 1 : 0);
    EXPECT_EQ(Replay(log, 4).size(), whole) << cut;
    const size_t used = whole == 2 ? entries.size() : whole == 1 ? Entry(0, 1).size() : 0;
    EXPECT_EQ(scan_.damaged_bytes, cut - used) << cut;
  }
}

}  // namespace
}  // namespace fleet::collector
