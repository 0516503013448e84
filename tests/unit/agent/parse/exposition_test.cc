#include "agent/parse/exposition.h"

#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool All(absl::string_view) { return true; }

TEST(ParseExpositionTest, ReadsFamiliesAndSamples) {
  const auto parsed = ParseExposition(
      "# HELP a_total Things,\twith a \\n break\n"
      "# TYPE a_total counter\n"
      "a_total{x=\"1\",y=\"q\\\"uo\\\\te\\n\"} 3\n"
      "# TYPE g gauge\n"
      "g -1.5e3 1700000000000\n"
      "a_total{ x = \"2\" , } 4 # {trace=\"7\"} 1\n"
      "\n"
      "u{empty=\"\"} +Inf\n"
      "# TYPE h histogram\n"
      "h_bucket{le=\"0.1\"} 5\n"
      "# EOF\n",
      All, 100);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_THAT(
      parsed->families,
      ElementsAre(ExpositionFamily{"a_total", MetricType::kCounter, "Things, with a \\n break"},
                  ExpositionFamily{"g", MetricType::kGauge, ""},
                  ExpositionFamily{"u", MetricType::kUntyped, ""},
                  ExpositionFamily{"h_bucket", MetricType::kUntyped, ""}));
  EXPECT_THAT(parsed->samples,
              ElementsAre(ExpositionSample{0, "x=\"1\",y=\"q\\\"uo\\\\te\\n\"", 3},
                          ExpositionSample{1, "", -1500}, ExpositionSample{0, "x=\"2\"", 4},
                          ExpositionSample{2, "", std::numeric_limits<double>::infinity()},
                          ExpositionSample{3, "le=\"0.1\"", 5}));
  EXPECT_EQ(parsed->dropped, 0);
}

TEST(ParseExpositionTest, KeepsOnlyWhatIsWantedAndBounded) {
  const auto parsed = ParseExposition(
      "a 1\nb 2 x y z\na{i=\"1\"} 2\na{i=\"2\"} 3\n",
      [](absl::string_view name) { return name == "a"; }, 2);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->families.size(), 1);
  EXPECT_EQ(parsed->samples.size(), 2);
  EXPECT_EQ(parsed->dropped, 1);
}

TEST(ParseExpositionTest, ReadsWhatMinioServes) {
  const auto parsed = ParseExposition(
      test::Fixture("minio/v2_node.prom"),
      [](absl::string_view name) { return absl::StartsWith(name, "minio_s3_"); }, 100);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_THAT(parsed->families,
              ElementsAre(ExpositionFamily{"minio_s3_requests_total", MetricType::kCounter,
                                           "Total number of S3 requests"}));
  EXPECT_EQ(parsed->samples.size(), 2);
  const auto nothing = ParseExposition("", All, 100);
  ASSERT_THAT(nothing, IsOk());
  EXPECT_THAT(nothing->samples, IsEmpty());
}

TEST(ParseExpositionTest, RejectsMalformedText) {
  for (const char* text :
       {"<html>", "{a=\"1\"} 2", "9a 1", "a", "a x", "a{ 1", "a{b} 1", "a{b=c} 1", "a{b=\"c} 1",
        "a{b=\"c\\", "a{b=\"c\" d=\"e\"} 1", "a{9=\"c\"} 1", "a{b:c=\"d\"} 1",
        "a{b=\"1\",b=\"2\"} 1", "a{b=\"c\"}"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseExposition(text, All, 100), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
