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

}  // namespace
}  // namespace fleet::collector
