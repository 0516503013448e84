#include "collector/web/options.h"

#include "collector/config.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::testing::HasSubstr;

class WebOptionsTest : public ::testing::Test {
 protected:
  CollectorOptions Load(absl::string_view yaml) {
    test::WriteFile(dir_ / "collector.yaml", absl::StrCat("insecure: true\n", yaml));
    return LoadCollectorOptions(dir_ / "collector.yaml", {}, loader_);
  }
  test::TempDir dir_;
  ConfigLoader loader_;
};

TEST_F(WebOptionsTest, ReadsTheStatusPage) {
  const CollectorOptions options = Load(
      "status_page: {title: chitter, url: \"https://status.chitter.xyz\", timezone: Europe/Paris, "
      "description: How it is}\n");
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_EQ(options.status_page.title, "chitter");
  EXPECT_EQ(options.status_page.url, "https://status.chitter.xyz");
  EXPECT_EQ(options.status_page.description, "How it is");
  EXPECT_EQ(options.status_page.zone.name(), "Europe/Paris");
}

TEST_F(WebOptionsTest, SaysWhatIsWrongWithIt) {
  Load("status_page: {url: status.chitter.xyz, timezone: Europe/Atlantis}\n");
  EXPECT_THAT(loader_.Problems(), HasSubstr("expected http://"));
  EXPECT_THAT(loader_.Problems(), HasSubstr("such as Europe/Paris"));
}

TEST_F(WebOptionsTest, ReadsWhereToPublish) {
  test::WriteFile(dir_ / "access", "a\n");
  test::WriteFile(dir_ / "secret", "s\n");
  const CollectorOptions options =
      Load(absl::StrCat(R"(
publish:
  - /srv/status
  - url: https://s3.eu-west-1.amazonaws.com/chitter-outages/
    name: s3
    region: eu-west-1
    access_key_file: )",
                        dir_ / "access", "\n    secret_key_file: ", dir_ / "secret", R"(
    headers: {x-amz-acl: public-read}
    timeout: 5s
)"));
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_EQ(options.publish.size(), 2u);
  EXPECT_EQ(options.publish[0].directory, "/srv/status");
  EXPECT_EQ(options.publish[0].name, "/srv/status");
  EXPECT_EQ(options.publish[1].url, "https://s3.eu-west-1.amazonaws.com/chitter-outages");
  EXPECT_EQ(options.publish[1].name, "s3");
  EXPECT_EQ(options.publish[1].region, "eu-west-1");
  EXPECT_EQ(options.publish[1].timeout, absl::Seconds(5));
  ASSERT_EQ(options.publish[1].headers.size(), 1u);
}

TEST_F(WebOptionsTest, SaysWhatIsWrongWithATarget) {
  Load(R"(
publish:
  - {}
  - {directory: relative}
  - {url: "ftp://x/y"}
  - {url: "https://user@x/y", access_key_file: /nowhere}
  - {directory: /a, url: "https://x/y"}
  - {directory: /b, name: same}
  - {directory: /c, name: same, timeout: 6m, headers: {"a b": c}}
)");
  const std::string problems = loader_.Problems();
  for (const char* problem :
       {"publish[0].directory", "publish[1].directory: expected an absolute path", "publish[2].url",
        "publish[3].url", "publish[3].secret_key_file", "publish[3].access_key_file",
        "publish[4].directory", "publish[6].name: another target", "publish[6].timeout",
        "publish[6].headers.a b"}) {
    EXPECT_THAT(problems, HasSubstr(problem));
  }
}

}  // namespace
}  // namespace fleet::collector
