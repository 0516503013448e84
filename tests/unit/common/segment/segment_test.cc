#include "common/segment/segment.h"

#include <limits>

#include "common/crc32c.h"
#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "tests/support/matchers.h"
#include "tests/support/random_report.h"

namespace fleet {
namespace {

using ::fleet::test::Difference;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::HasSubstr;

constexpr SegmentId kId{0x1234, 7};
const absl::Time kCreated = absl::FromUnixSeconds(1'700'000'000);

std::string Encode(const std::vector<Report>& reports) {
  SegmentEncoder encoder(kId, kCreated);
  std::string bytes;
  for (const Report& report : reports) EXPECT_THAT(encoder.Append(report, bytes), IsOk());
  EXPECT_EQ(encoder.bytes(), bytes.size());
  EXPECT_EQ(encoder.next_index(), reports.size());
  return bytes;
}

std::vector<Report> Some(size_t count, uint64_t seed = 1) {
  test::RandomReports random(seed);
  std::vector<Report> reports;
  for (size_t i = 0; i < count; ++i) reports.push_back(random.Next());
  return reports;
}

/// Decodes into `reports`.
absl::Status Decode(absl::string_view bytes, std::vector<Report>& reports) {
  SegmentDecoder decoder;
  return decoder.Feed(bytes, [&reports](const DecodedReport& report) {
    reports.push_back(ToReport(report));
    return absl::OkStatus();
  });
}

Report Load(double one, absl::string_view reason) {
  Report report;
  report.check = "load";
  report.start = kCreated + absl::Seconds(10);
  report.interval = absl::Seconds(10);
  report.reason = std::string(reason);
  report.samples.AddRaw({"node_load1", MetricType::kGauge, "1m load average."}, "", one);
  return report;
}

TEST(Crc32cTest, AgreesWithThePublishedVectors) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c("56789", Crc32c("1234")), 0xE3069283u);
}

TEST(SegmentTest, GivesBackRandomReportsToTheLastBit) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const std::vector<Report> reports = Some(120, seed);
    std::vector<Report> decoded;
    ASSERT_THAT(Decode(Encode(reports), decoded), IsOk());
    ASSERT_EQ(decoded.size(), reports.size());
    for (size_t i = 0; i < reports.size(); ++i) {
      ASSERT_EQ(Difference(reports[i], decoded[i]), "") << i;
    }
  }
}

TEST(SegmentTest, DecodesPiecesOfWholeRecords) {
  SegmentEncoder encoder(kId, kCreated);
  SegmentDecoder decoder;
  uint64_t seen = 0;
  for (const Report& report : Some(50)) {
    std::string piece;
    ASSERT_THAT(encoder.Append(report, piece), IsOk());
    ASSERT_THAT(decoder.Feed(piece,
                             [&](const DecodedReport& decoded) {
                               EXPECT_EQ(decoded.index, seen++);
                               EXPECT_EQ(decoded.segment, kId);
                               return absl::OkStatus();
                             }),
                IsOk());
  }
  EXPECT_EQ(seen, 50u);
  EXPECT_EQ(decoder.created(), kCreated);
}

TEST(SegmentTest, ARepeatedReportCostsNextToNothing) {
  SegmentEncoder encoder(kId, kCreated);
  std::string bytes;
  ASSERT_THAT(encoder.Append(Load(0.25, "load 0.25"), bytes), IsOk());
  bytes.clear();
  Report next = Load(0.25, "load 0.25");
  next.start += absl::Seconds(10);
  ASSERT_THAT(encoder.Append(next, bytes), IsOk());
  EXPECT_EQ(bytes.size(), 9u);
  bytes.clear();
  next = Load(0.26, "load 0.26");
  next.start += absl::Seconds(20);
  ASSERT_THAT(encoder.Append(next, bytes), IsOk());
  EXPECT_LE(bytes.size(), 18u);
}

TEST(SegmentTest, KeepsTheSameObjectsUntilTheyChange) {
  std::vector<std::shared_ptr<const Layout>> layouts;
  std::vector<std::shared_ptr<const ReportStatus>> statuses;
  std::vector<std::shared_ptr<const double[]>> blocks;
  SegmentDecoder decoder;
  ASSERT_THAT(decoder.Feed(Encode({Load(1, "a"), Load(1, "a"), Load(2, "b")}),
                           [&](const DecodedReport& report) {
                             layouts.push_back(report.layout);
                             statuses.push_back(report.status);
                             blocks.push_back(report.block);
                             return absl::OkStatus();
                           }),
              IsOk());
  EXPECT_EQ(layouts[0], layouts[2]);
  EXPECT_EQ(statuses[0], statuses[1]);
  EXPECT_NE(statuses[1], statuses[2]);
  EXPECT_EQ(blocks[0][0], 1);
  EXPECT_EQ(blocks[2][0], 2);
}

TEST(SegmentTest, SharesEqualLayoutsInAPool) {
  LayoutPool pool;
  std::vector<std::shared_ptr<const Layout>> layouts;
  for (int host = 0; host < 3; ++host) {
    SegmentDecoder decoder(&pool);
    ASSERT_THAT(decoder.Feed(Encode({Load(host, "")}),
                             [&](const DecodedReport& report) {
                               layouts.push_back(report.layout);
                               return absl::OkStatus();
                             }),
                IsOk());
  }
  EXPECT_EQ(layouts[0], layouts[1]);
  EXPECT_EQ(layouts[0], layouts[2]);
  EXPECT_EQ(pool.size(), 1u);
}

TEST(SegmentTest, ACutAtEveryByteKeepsEveryWholeRecord) {
  const std::vector<Report> reports = Some(12);
  const std::string bytes = Encode(reports);
  size_t last = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    const ScanResult scan = ScanSegment(absl::string_view(bytes).substr(0, size));
    ASSERT_EQ(scan.header, size >= kSegmentHeaderBytes);
    ASSERT_LE(scan.good_bytes, size);
    ASSERT_GE(scan.reports, last);
    last = scan.reports;
    std::vector<Report> decoded;
    const absl::Status status = Decode(absl::string_view(bytes).substr(0, size), decoded);
    ASSERT_EQ(status.ok(), scan.damage.empty());
    ASSERT_EQ(decoded.size(), scan.reports);
    for (size_t i = 0; i < decoded.size(); ++i) ASSERT_EQ(Difference(reports[i], decoded[i]), "");
  }
  EXPECT_EQ(last, 11u);
  EXPECT_EQ(ScanSegment(bytes).good_bytes, bytes.size());
  EXPECT_EQ(ScanSegment(bytes).reports, 12u);
}

TEST(SegmentTest, NoFlippedBitGoesUnnoticed) {
  const std::vector<Report> reports = Some(6);
  const std::string bytes = Encode(reports);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    std::vector<Report> decoded;
    ASSERT_FALSE(Decode(damaged, decoded).ok()) << bit;
    for (size_t i = 0; i < decoded.size(); ++i) ASSERT_EQ(Difference(reports[i], decoded[i]), "");
  }
}

TEST(SegmentTest, ARecordIsNeverTakenForAnother) {
  std::string first;
  std::string second;
  SegmentEncoder encoder(kId, kCreated);
  ASSERT_THAT(encoder.Append(Load(1, ""), first), IsOk());
  ASSERT_THAT(encoder.Append(Load(2, ""), second), IsOk());
  std::vector<Report> decoded;
  EXPECT_THAT(Decode(first + second + second, decoded), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(decoded.size(), 2u);
}

TEST(SegmentTest, NothingIsReadAfterDamage) {
  SegmentDecoder decoder;
  const auto sink = [](const DecodedReport&) { return absl::OkStatus(); };
  EXPECT_THAT(decoder.Feed("x", sink), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(decoder.Feed(Encode(Some(1)), sink), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(SegmentTest, RefusesWhatIsBeyondTheLimitsAndGoesOn) {
  SegmentEncoder encoder(kId, kCreated);
  std::string bytes;
  Report huge = Load(1, std::string(5000, 'x'));
  EXPECT_THAT(encoder.Append(huge, bytes), HasCode(absl::StatusCode::kResourceExhausted));
  huge = Load(1, "");
  for (int i = 0; i < 20'001; ++i) {
    huge.samples.AddRaw({"m", MetricType::kGauge, ""}, absl::StrCat("i=\"", i, "\""), i);
  }
  EXPECT_THAT(encoder.Append(huge, bytes), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(bytes, "");
  EXPECT_THAT(encoder.Append(Load(1, ""), bytes), IsOk());
  std::vector<Report> decoded;
  EXPECT_THAT(Decode(bytes, decoded), IsOk());
  EXPECT_EQ(decoded.size(), 1u);
}

TEST(SegmentTest, ADecoderHasLimitsOfItsOwn) {
  const auto sink = [](const DecodedReport&) { return absl::OkStatus(); };
  const std::string bytes = Encode(Some(300));
  for (const SegmentLimits& limits :
       {SegmentLimits{.segment_bytes = 1000}, SegmentLimits{.record_bytes = 50},
        SegmentLimits{.checks = 1}, SegmentLimits{.series = 1}, SegmentLimits{.families = 1},
        SegmentLimits{.definition_bytes = 50}, SegmentLimits{.items = 1},
        SegmentLimits{.text_bytes = 5}, SegmentLimits{.series_all = 1},
        SegmentLimits{.definition_bytes_all = 50}, SegmentLimits{.items_all = 1}}) {
    SegmentDecoder decoder(nullptr, limits);
    EXPECT_THAT(decoder.Feed(bytes, sink), HasCode(absl::StatusCode::kResourceExhausted));
  }
}

TEST(SegmentTest, EndsAtItsAgeAndWhenTheClockIsSetBack) {
  const SegmentEncoder encoder(kId, kCreated);
  EXPECT_FALSE(encoder.Full(kCreated + absl::Minutes(59)));
  EXPECT_TRUE(encoder.Full(kCreated + absl::Minutes(60)));
  EXPECT_FALSE(encoder.Full(kCreated - absl::Minutes(1)));
  EXPECT_TRUE(encoder.Full(kCreated - absl::Hours(24)));
}

TEST(SegmentTest, SaysWhatIsWrong) {
  std::string bytes = Encode(Some(3));
  bytes[4] = 9;
  EXPECT_THAT(ScanSegment(bytes).damage, HasSubstr("damaged"));
  EXPECT_THAT(ScanSegment("GET / HTTP/1.1 and more of it here").damage, HasSubstr("not a segment"));
}

}  // namespace
}  // namespace fleet
