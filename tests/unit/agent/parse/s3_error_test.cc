#include "agent/parse/s3_error.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

TEST(ParseS3ErrorTest, ReadsXmlAndJson) {
  const S3Error xml = ParseS3Error(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code>"
      "<Message>The request\n signature</Message><Resource>/b</Resource></Error>");
  EXPECT_EQ(xml.code, "SignatureDoesNotMatch");
  EXPECT_EQ(xml.message, "The request signature");
  const S3Error json = ParseS3Error(R"({"Code":"AccessDenied","Message":"Access Denied."})");
  EXPECT_EQ(json.code, "AccessDenied");
  EXPECT_EQ(json.message, "Access Denied.");
}

TEST(ParseS3ErrorTest, FindsNothingInMalformedText) {
  for (const char* body : {"", "<html>503</html>", "<Code>", "<Code>x", "\"Code\":\"x"}) {
    SCOPED_TRACE(body);
    EXPECT_EQ(ParseS3Error(body).code, "");
  }
}

}  // namespace
}  // namespace fleet::agent
