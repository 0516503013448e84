#include "agent/parse/spool_files.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::Eq;
using ::testing::IsEmpty;

constexpr absl::string_view kName = "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-123456.seg";

SpoolFileName Parsed() {
  SpoolFileName name;
  name.sequence = 42;
  name.epoch = 0x9f8e7d6c5b4a3921;
  name.number = 7;
  name.boot = 0x1c2d3e4f;
  name.created_uptime = absl::Milliseconds(123456);
  return name;
}

TEST(SpoolFileNameTest, IsReadAsItIsWritten) {
  EXPECT_EQ(FormatSpoolFileName(Parsed()), kName);
  EXPECT_THAT(ParseSpoolFileName(kName), IsOkAnd(Eq(Parsed())));
  SpoolFileName extreme;
  extreme.sequence = extreme.epoch = extreme.number = ~uint64_t{0};
  extreme.boot = ~uint32_t{0};
  EXPECT_THAT(ParseSpoolFileName(FormatSpoolFileName(extreme)), IsOkAnd(Eq(extreme)));
}

TEST(SpoolFileNameTest, SortsBySequence) {
  SpoolFileName later = Parsed();
  later.sequence = 43;
  later.epoch = 0;
  EXPECT_LT(FormatSpoolFileName(Parsed()), FormatSpoolFileName(later));
}

TEST(SpoolFileNameTest, RefusesWhatItWouldNotWrite) {
  for (const absl::string_view name :
       {"", ".seg", "acks", "acks.new", "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-123456",
        "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-123456.seg.damaged",
        "42-9f8e7d6c5b4a3921-7-1c2d3e4f-123456.seg",
        "0000000042-9f8e7d6c5b4a392-7-1c2d3e4f-123456.seg",
        "0000000042-9F8E7D6C5B4A3921-7-1c2d3e4f-123456.seg",
        "0000000042-9f8e7d6c5b4a3921--7-1c2d3e4f-123456.seg",
        "0000000042-9f8e7d6c5b4a3921-07-1c2d3e4f-123456.seg",
        "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-.seg",
        "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-99999999999999999999.seg",
        "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-9999999999999999.seg",
        "0000000042-9f8e7d6c5b4a3921-7-1c2d3e4f-1-2.seg"}) {
    SCOPED_TRACE(name);
    EXPECT_THAT(ParseSpoolFileName(name), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(BootIdTest, IsItsStart) {
  EXPECT_THAT(ParseBootId("1c2d3e4f-0b1a-4c5d-8e9f-a0b1c2d3e4f5\n"), IsOkAnd(Eq(0x1c2d3e4fu)));
  for (const absl::string_view text : {"", "1c2d3e4f", "1c2d3e4-f0b1a", "1c2d3e4g-0b1a"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseBootId(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(SpoolAcksTest, AreReadAsTheyAreWritten) {
  const std::vector<SpoolAck> acks = {{"10.235.0.4:10235", 7, 0}, {"[::1]:10235", 7, 12}};
  const std::string text = FormatSpoolAcks(acks);
  EXPECT_EQ(text, "10.235.0.4:10235 0000000000000007 0\n[::1]:10235 0000000000000007 12\n");
  EXPECT_THAT(ParseSpoolAcks(text), IsOkAnd(Eq(acks)));
  EXPECT_THAT(ParseSpoolAcks(""), IsOkAnd(IsEmpty()));
}

TEST(SpoolAcksTest, RefusesMalformedText) {
  for (const absl::string_view text :
       {"\n", "a 0000000000000007 0", "a 0000000000000007\n", "a 0000000000000007 0 0\n",
        " 0000000000000007 0\n", "a 7 0\n", "a 0000000000000007 -1\n",
        "a 0000000000000007 0\n\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseSpoolAcks(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
