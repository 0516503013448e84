#include "collector/http/body.h"

#include "absl/strings/str_cat.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kForm[] = "application/x-www-form-urlencoded";
constexpr char kJson[] = "application/json";

BodyValue Text(std::string text) { return {BodyValue::Kind::kText, std::move(text), {}, {}}; }
BodyValue List(std::vector<std::string> list) {
  return {BodyValue::Kind::kList, "", std::move(list), {}};
}
BodyValue Map(std::map<std::string, std::string> map) {
  return {BodyValue::Kind::kMap, "", {}, std::move(map)};
}

TEST(BodyTest, ReadsAForm) {
  EXPECT_THAT(
      ParseBody(kForm,
                "url=https%3A%2F%2Fchitter.xyz%2F%3Fa%3Db&period=60&alias=two+words&"
                "recipients[]=email%3A1&recipients%5B%5D=sms:2&custom_headers[X-Api-Key]=a%3Db&"
                "http_body=a%0Ab&string_match=&alias=last"),
      IsOkAnd(ElementsAre(
          Pair("alias", Text("last")), Pair("custom_headers", Map({{"X-Api-Key", "a=b"}})),
          Pair("http_body", Text("a\nb")), Pair("period", Text("60")),
          Pair("recipients", List({"email:1", "sms:2"})), Pair("string_match", Text("")),
          Pair("url", Text("https://chitter.xyz/?a=b")))));
}

TEST(BodyTest, ReadsTheSameFromJson) {
  EXPECT_THAT(
      ParseBody("application/json; charset=utf-8",
                R"({"url":"https://chitter.xyz/?a=b","period":60,"apdex_t":0.5,"enabled":true,)"
                R"("recipients":["email:1","sms:2"],"custom_headers":{"X":"a=b","N":1},)"
                R"("alias":null,"disabled_locations":[]})"),
      IsOkAnd(ElementsAre(
          Pair("alias", BodyValue{BodyValue::Kind::kNull, "", {}, {}}),
          Pair("apdex_t", Text("0.5")), Pair("custom_headers", Map({{"X", "a=b"}, {"N", "1"}})),
          Pair("disabled_locations", List({})), Pair("enabled", Text("true")),
          Pair("period", Text("60")), Pair("recipients", List({"email:1", "sms:2"})),
          Pair("url", Text("https://chitter.xyz/?a=b")))));
}

TEST(BodyTest, KnowsJsonThatIsSentAsAForm) {
  EXPECT_THAT(ParseBody(kForm, " {\"a\": 1}\n"), IsOkAnd(ElementsAre(Pair("a", Text("1")))));
  EXPECT_THAT(ParseBody("", "a=1"), IsOkAnd(ElementsAre(Pair("a", Text("1")))));
  EXPECT_THAT(ParseBody(kJson, "  "), IsOkAnd(IsEmpty()));
}

TEST(BodyTest, RefusesWhatItCannotRead) {
  std::string many = "a[]=1";
  for (size_t i = 0; i < kBodyValuesMax; ++i) absl::StrAppend(&many, "&a[]=1");
  const struct {
    std::string type, body, why;
  } cases[] = {
      {kJson, "{\"a\":", "not JSON"},
      {kJson, "[1]", "not a JSON object"},
      {kJson, "a=1", "not JSON"},
      {kJson, "{\"a\":\"\xff\"}", "not JSON"},
      {kJson, "{\"a\":\"\\u0000\"}", "NUL"},
      {kJson, "{\"a\":[[1]]}", "inside another"},
      {kJson, "{\"a\":{\"b\":{}}}", "inside another"},
      {kJson, "{\"a\":" + std::string(30'000, '[') + std::string(30'000, ']') + "}", "not JSON"},
      {kForm, "a=%zz", "%-escape"},
      {kForm, "a=%ff", "not UTF-8"},
      {kForm, "a=%00", "NUL"},
      {kForm, "a=1&a[]=2", "two different forms"},
      {kForm, "a[b=2", "cannot read the name"},
      {kForm, "a[b][c]=2", "cannot read the name"},
      {kForm, many, "more than 1000"},
  };
  for (const auto& [type, body, why] : cases) {
    SCOPED_TRACE(body.substr(0, 60));
    EXPECT_THAT(ParseBody(type, body),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  }
}

TEST(BodyTest, ReadsAQueryTheSameWay) {
  EXPECT_THAT(FieldsOf({{"a", "1"}, {"r[]", "x"}, {"h[k]", "v"}}),
              IsOkAnd(ElementsAre(Pair("a", Text("1")), Pair("h", Map({{"k", "v"}})),
                                  Pair("r", List({"x"})))));
}

}  // namespace
}  // namespace fleet::collector
