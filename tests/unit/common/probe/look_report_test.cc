#include "common/probe/look_report.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"

namespace fleet::probe {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr MetricDesc kSuccess = {"probe_success", MetricType::kGauge, "Whether it worked.", true};
constexpr MetricDesc kPhase = {"probe_http_duration_seconds", MetricType::kGauge, "By phase.",
                               true};
constexpr MetricDesc kNumber = {"fleet_look_number", MetricType::kGauge, "A number."};
constexpr MetricDesc kText = {"fleet_look_text", MetricType::kGauge, "A text."};
constexpr MetricDesc kOther = {"node_load1", MetricType::kGauge, "Not a probe's."};

/// One with something in every field.
Look FullLook() {
  Look look;
  look.token = "1kae";
  look.family = IpFamily::kIpv6;
  Result& result = look.result;
  result.start = absl::FromUnixMillis(1'790'000'000'123);
  result.error = "502";
  result.status = 502;
  result.family = IpFamily::kIpv6;
  result.address = "2001:db8::4";
  result.timings = {absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(3),
                    absl::Milliseconds(4), absl::Milliseconds(5), absl::Milliseconds(15)};
  TlsFacts& tls = result.tls.emplace();
  tls.certificate = {"chitter.xyz",
                     "R11",
                     "Let's \"Encrypt\"",
                     "SHA-256 with RSA encryption",
                     std::string(64, 'a'),
                     absl::FromUnixSeconds(1'780'000'000),
                     absl::FromUnixSeconds(1'795'000'000)};
  tls.earliest_expiry = absl::FromUnixSeconds(1'794'000'000);
  tls.verify_error = 20;
  tls.verify_text = "unable to get local issuer certificate";
  tls.version = "TLS 1.3";
  result.reported = {{"upstream", "tempo"}};
  result.samples.Add(kSuccess, {}, 0);
  result.samples.Add(kPhase, {{"phase", "connect"}}, 0.003);
  return look;
}

TEST(LookReportTest, NothingIsLost) {
  const Look look = FullLook();
  const Report report = ToReport(look, absl::Seconds(60));
  EXPECT_EQ(report.check, "probe.1kae.ipv6");
  EXPECT_TRUE(IsLook(report.check));
  EXPECT_EQ(report.verdict, Verdict::kCrit);
  EXPECT_EQ(report.interval, absl::Seconds(60));
  EXPECT_EQ(report.duration, absl::Milliseconds(15));

  const absl::StatusOr<Look> read = FromReport(report);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->token, "1kae");
  EXPECT_EQ(read->family, IpFamily::kIpv6);
  const Result& result = read->result;
  EXPECT_EQ(result.start, look.result.start);
  EXPECT_FALSE(result.success);
  EXPECT_EQ(result.error, "502");
  EXPECT_EQ(result.status, 502);
  EXPECT_EQ(result.family, IpFamily::kIpv6);
  EXPECT_EQ(result.address, "2001:db8::4");
  EXPECT_EQ(result.timings.response, absl::Milliseconds(5));
  EXPECT_EQ(result.timings.redirect, absl::Milliseconds(1));
  ASSERT_TRUE(result.tls.has_value());
  EXPECT_EQ(result.tls->certificate, look.result.tls->certificate);
  EXPECT_EQ(result.tls->earliest_expiry, look.result.tls->earliest_expiry);
  EXPECT_EQ(result.tls->verify_error, 20);
  EXPECT_EQ(result.tls->verify_text, "unable to get local issuer certificate");
  EXPECT_EQ(result.tls->version, "TLS 1.3");
  EXPECT_THAT(result.reported, ElementsAre(Pair("upstream", "tempo")));
  EXPECT_THAT(
      ExpositionLines(result.samples),
      ElementsAre("probe_success 0", "probe_http_duration_seconds{phase=\"connect\"} 0.003"));
}

TEST(LookReportTest, TellsWhatWorkedFromWhatCouldNotBeTried) {
  Look look;
  look.token = "ljag";
  look.result.success = true;
  Report report = ToReport(look, absl::Seconds(60));
  EXPECT_EQ(report.check, "probe.ljag");
  EXPECT_EQ(report.verdict, Verdict::kOk);
  EXPECT_FALSE(FromReport(report)->result.tls.has_value());
  EXPECT_TRUE(FromReport(report)->result.success);

  look.result.success = false;
  look.result.unknown = UnknownKind::kBlind;
  look.result.error = "ping is not allowed";
  report = ToReport(look, absl::Seconds(60));
  EXPECT_EQ(report.verdict, Verdict::kUnknown);
  EXPECT_FALSE(report.success);
  EXPECT_EQ(FromReport(report)->result.unknown, UnknownKind::kBlind);
  EXPECT_EQ(FromReport(report)->result.error, "ping is not allowed");
}

TEST(LookReportTest, DropsWhatIsNotAProbes) {
  Report report = ToReport(FullLook(), absl::Seconds(60));
  report.samples.Add(kOther, {}, 1);
  const absl::StatusOr<Look> read = FromReport(report);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->result.samples.size(), 2u);
}

TEST(LookReportTest, RefusesWhatIsNoLook) {
  const auto refused = [](const Report& report) {
    return FromReport(report).status().code() == absl::StatusCode::kInvalidArgument;
  };
  for (const char* check : {"disk", "probe", "probe.", "probe..", "probe.A", "probe.a/b",
                            "probe.1kae.ipv5", "probe.1kae.ipv4.x", "probes.1kae"}) {
    Report report = ToReport(FullLook(), absl::Seconds(60));
    report.check = check;
    EXPECT_TRUE(refused(report)) << check;
  }
  struct Case {
    const char* what;
    double value;
  };
  for (const Case& c :
       {Case{"total", -1}, Case{"total", 1e9}, Case{"status", 2.5}, Case{"status", 1e300},
        Case{"tls_not_after", 1e300}, Case{"tls_verify_error", 0.5}}) {
    Report report = ToReport(FullLook(), absl::Seconds(60));
    report.samples.Add(kNumber, {{"what", c.what}}, c.value);
    EXPECT_TRUE(refused(report)) << c.what << " " << c.value;
  }
  Report lacks;
  lacks.check = "probe.1kae";
  lacks.samples.Add(kNumber, {{"what", "tls_not_after"}}, 1);
  EXPECT_TRUE(refused(lacks));
  Report short_label;
  short_label.check = "probe.1kae";
  short_label.samples.Add(kText, {{"what", "address"}}, 1);
  EXPECT_TRUE(refused(short_label));
}

}  // namespace
}  // namespace fleet::probe
