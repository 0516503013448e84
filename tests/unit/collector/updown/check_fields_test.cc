#include "collector/updown/check_fields.h"

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class CheckFieldsTest : public ::testing::Test {
 protected:
  std::vector<std::string> Apply(const std::string& body) {
    const auto fields = ParseBody("", body);
    EXPECT_THAT(fields, IsOk());
    return ApplyCheckFields(*fields, rights_, check_);
  }

  CheckRights rights_;
  ProbeCheck check_;
};

TEST_F(CheckFieldsTest, TakesWhatIsNamedAndLeavesTheRest) {
  check_.alias = "old";
  check_.apdex_t = 2;
  EXPECT_THAT(
      Apply(
          "url=https%3A%2F%2Fchitter.xyz&period=30&enabled=false&published=1&"
          "recipients[]=webhook:1&recipients[]=&disabled_locations[]=tempo&"
          "custom_headers[X-Api-Key]=v&mute_until=2026-11-23+16%3A00%3A00+%2B0100&name=x&token=y"),
      IsEmpty());
  EXPECT_EQ(check_.url, "https://chitter.xyz");
  EXPECT_EQ(check_.period, absl::Seconds(30));
  EXPECT_FALSE(check_.enabled);
  EXPECT_TRUE(check_.published);
  EXPECT_EQ(check_.alias, "old");
  EXPECT_EQ(check_.apdex_t, 2);
  EXPECT_THAT(check_.recipients, ElementsAre("webhook:1"));
  EXPECT_THAT(check_.disabled_locations, ElementsAre("tempo"));
  EXPECT_THAT(check_.custom_headers, ElementsAre(Pair("X-Api-Key", "v")));
  EXPECT_EQ(check_.mute_until, "2026-11-23T15:00:00Z");
  EXPECT_EQ(check_.token, "") << "not theirs to say";
}

TEST_F(CheckFieldsTest, NullAndEmptyListsTakeBack) {
  check_.alias = "old";
  check_.recipients = {"webhook:1"};
  check_.custom_headers = {{"A", "b"}};
  check_.mute_until = "forever";
  EXPECT_THAT(Apply(R"({"alias":null,"recipients":[],"custom_headers":{},"mute_until":null})"),
              IsEmpty());
  EXPECT_EQ(check_.alias, "");
  EXPECT_THAT(check_.recipients, IsEmpty());
  EXPECT_THAT(check_.custom_headers, IsEmpty());
  EXPECT_EQ(check_.mute_until, "");
  check_.recipients = {"webhook:1"};
  EXPECT_THAT(Apply("recipients[]="), IsEmpty());
  EXPECT_THAT(check_.recipients, IsEmpty());
}

TEST_F(CheckFieldsTest, SaysWhatIsWrongInUpdownsWords) {
  EXPECT_THAT(Apply("period=soon&apdex_t=fast&mute_until=never"),
              ElementsAre("Apdex t is not a number (given: \"fast\")",
                          "Mute until is invalid (given: \"never\")",
                          "Period is not a number (given: \"soon\")"));
  for (const char* body : {"period=1e300", "period=nan", "period=0.5", "url=a%0d%0ab",
                           R"({"url":["a"]})", R"({"custom_headers":"a"})"}) {
    EXPECT_THAT(Apply(body), testing::SizeIs(1)) << body;
  }
}

TEST_F(CheckFieldsTest, InjectsNoHeaders) {
  for (const char* body :
       {R"({"custom_headers":{"A":"b\r\nHost: evil"}})", R"({"custom_headers":{"A\r\nB":"c"}})",
        R"({"custom_headers":{"A: b":"c"}})", R"({"custom_headers":{"":"c"}})",
        R"({"http_verb":"GET / HTTP/1.1\r\nX: y"})"}) {
    EXPECT_THAT(Apply(body), testing::Not(IsEmpty())) << body;
  }
}

TEST_F(CheckFieldsTest, VerbsThatChangeThingsMustBeAllowed) {
  EXPECT_THAT(Apply("http_verb=post&http_body=x"),
              ElementsAre("Http verb is not allowed by probes_allow of this collector "
                          "(given: \"POST\")"));
  rights_.allows_method = [](absl::string_view method) { return method == "POST"; };
  EXPECT_THAT(Apply("http_verb=post&http_body=x"), IsEmpty());
  EXPECT_THAT(Apply("http_verb=DELETE"), testing::SizeIs(1));
  EXPECT_THAT(Apply("http_verb=GET%2FHEAD&http_body=x"), testing::SizeIs(1));
}

TEST_F(CheckFieldsTest, RecipientsMustBeKnown) {
  rights_.has_recipient = [](absl::string_view id) { return id == "webhook:1"; };
  EXPECT_THAT(Apply("recipients[]=webhook:1&recipients[]=email:2"),
              ElementsAre("Recipients is not known here (given: \"email:2\")"));
}

}  // namespace
}  // namespace fleet::collector
