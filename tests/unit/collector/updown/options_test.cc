#include "collector/updown/options.h"

#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::testing::HasSubstr;

class UpdownOptionsTest : public ::testing::Test {
 protected:
  UpdownOptions Load(const std::string& text) {
    v1::CollectorConfig config;
    loader_.LoadText(text, "collector.yaml", config);
    return ReadUpdown(config, loader_);
  }

  ConfigLoader loader_;
};

TEST_F(UpdownOptionsTest, ReadsEveryKey) {
  const UpdownOptions options = Load(R"(
probes_allow: [10.235.0.0/16, "[fd00::1]:443", POST]
webhooks:
  - https://hooks.example/a
  - {url: "https://chat.example/b", name: chat, type: slack_compatible}
pulses:
  - https://pulse.updown.io/abcd/secret
  - {url: "https://kuma.example/api/push/k", shape: kuma, interval: 30s, name: kuma}
  - {url: "https://gatus.example/api/v1/endpoints/a_b/external", shape: gatus}
http: {public_url: "https://status.example/"}
)");
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_TRUE(options.allow.AllowsAddress("10.235.1.1", 80));
  EXPECT_TRUE(options.allow.AllowsMethod("POST"));
  ASSERT_EQ(options.webhooks.size(), 2);
  EXPECT_EQ(options.webhooks[0].type, "webhook");
  EXPECT_EQ(options.webhooks[0].name, "hooks.example");
  EXPECT_EQ(options.webhooks[1].type, "slack_compatible");
  ASSERT_EQ(options.pulses.size(), 3);
  EXPECT_EQ(options.pulses[0].name, "pulse.updown.io") << "the rest is a secret";
  EXPECT_EQ(options.pulses[0].interval, absl::Seconds(60));
  EXPECT_EQ(options.pulses[1].shape, PulseShape::kKuma);
  EXPECT_EQ(options.pulses[1].interval, absl::Seconds(30));
  EXPECT_EQ(options.pulses[2].method, "POST");
  EXPECT_EQ(options.public_url, "https://status.example");
}

TEST_F(UpdownOptionsTest, FindsEveryProblem) {
  Load(R"(
probes_allow: [localhost]
webhooks:
  - ftp://x
  - {name: nothing}
  - {url: "https://a", type: email}
  - {url: "https://a", url_file: /nowhere}
pulses:
  - {url: "https://a", shape: round, interval: 1s, method: DELETE}
http: {public_url: status}
)");
  const std::string problems = loader_.Problems();
  for (const char* expected :
       {"probes_allow[0]: \"localhost\": expected an address", "webhooks[0].url: expected a URL",
        "webhooks[1]: expected either url or url_file", "webhooks[2].type: expected webhook",
        "webhooks[3].url_file: ", "pulses[0].shape: expected updown",
        "pulses[0].interval: expected 5s", "pulses[0].method: expected GET",
        "http.public_url: expected"}) {
    EXPECT_THAT(problems, HasSubstr(expected));
  }
}

}  // namespace
}  // namespace fleet::collector
