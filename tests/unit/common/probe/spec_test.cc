#include <set>

#include "common/probe/probe.h"
#include "tests/support/matchers.h"

namespace fleet::probe {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::HasSubstr;

TEST(KindTest, HasNames) {
  for (const Kind kind :
       {Kind::kHttp, Kind::kTcp, Kind::kTls, Kind::kIcmp, Kind::kDns, Kind::kWebSocket}) {
    EXPECT_EQ(ParseKind(KindName(kind)), kind);
  }
  EXPECT_EQ(ParseKind("https"), std::nullopt);
}

TEST(ValidateSpecTest, NamesWhatIsWrong) {
  Spec spec;
  spec.target = "https://chitter.xyz/";
  EXPECT_THAT(ValidateSpec(spec), IsOk());
  spec.kind = Kind::kWebSocket;
  EXPECT_THAT(ValidateSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no ws or wss URL")));
  spec.target = "wss://chitter.xyz/api/v1/streaming";
  EXPECT_THAT(ValidateSpec(spec), IsOk());
  spec.kind = Kind::kTcp;
  spec.target = "chitter.xyz";
  EXPECT_THAT(ValidateSpec(spec), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("port")));
  spec.target = "[::1]:22";
  EXPECT_THAT(ValidateSpec(spec), IsOk());
  spec.tcp.steps = {{"", "("}};
  EXPECT_THAT(ValidateSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no pattern")));
  spec.kind = Kind::kDns;
  spec.dns.name = "chitter.xyz";
  spec.dns.type = "AXFR";
  EXPECT_THAT(ValidateSpec(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("record type")));
}

TEST(MetricsTest, AreNamedOnce) {
  std::set<absl::string_view> names;
  for (const MetricDesc& metric : Metrics()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
  }
  EXPECT_EQ(names.size(), 28U);
}

}  // namespace
}  // namespace fleet::probe
