// The shipped examples of https in front of the collector, each tried with the real server.
#include "absl/strings/str_replace.h"
#include "collector/collector.h"
#include "common/http_client.h"
#include "tests/support/matchers.h"
#include "tests/support/nginx.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FreePort;
using ::fleet::test::HasProgram;
using ::fleet::test::IsOk;
using ::fleet::test::Process;
using ::fleet::test::ReadFile;
using ::fleet::test::RunProgram;
using ::fleet::test::WaitFor;
using ::testing::HasSubstr;
using ::testing::NotNull;

constexpr char kExamples[] = FLEET_SOURCE_DIR "/deploy/chitter/";

class ProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    auto started = Collector::Start(std::move(options), Clock::Real());
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
    ASSERT_EQ(RunProgram({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                          "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                          "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                          dir_ / "key.pem", "-out", dir_ / "cert.pem"})
                  .exit_code,
              0);
  }
  std::string Upstream() { return collector_->http_address().ToString(); }

  ::fleet::HttpResponse Get(const std::string& path, const std::string& method = "GET") {
    ::fleet::HttpRequest request;
    request.method = method;
    request.url = absl::StrCat("https://localhost:", port_, path);
    request.ca_file = dir_ / "cert.pem";
    const auto response = client_.Fetch(request);
    EXPECT_THAT(response, IsOk()) << path;
    return response.ok() ? *response : ::fleet::HttpResponse();
  }

  /// What everybody may see is there as the collector says it, and nothing else is.
  void CheckPaths() {
    const ::fleet::HttpResponse page = Get("/status");
    EXPECT_EQ(page.code, 200);
    EXPECT_THAT(page.body, HasSubstr("void after"));
    ASSERT_THAT(page.header("content-security-policy"), NotNull());
    EXPECT_THAT(*page.header("content-security-policy"), HasSubstr("default-src 'none'"));
    EXPECT_THAT(*Get("/").header("location"), testing::EndsWith("/status"));
    const ::fleet::HttpResponse updates = Get("/updates.html?_=1");
    EXPECT_EQ(updates.code, 200);
    EXPECT_EQ(*updates.header("content-type"), "text/html; charset=utf-8");
    EXPECT_EQ(*updates.header("cache-control"), "no-cache");
    EXPECT_EQ(*updates.header("access-control-allow-origin"), "*");
    for (const char* path : {"/api/v2/status.json", "/api/v2/incidents/unresolved.json",
                             "/status.json", "/summary.json", "/status.atom", "/badge.svg"}) {
      EXPECT_EQ(Get(path).code, 200) << path;
    }
    EXPECT_EQ(Get("/api/nodes").code, 200);
    EXPECT_EQ(Get("/api/checks").code, 401) << "needs a key";
    EXPECT_EQ(Get("/downtimes/x").body, "no such downtime\n");
    EXPECT_EQ(Get("/pulse/a/b").body, "Not found\n");
    EXPECT_THAT(Get("/api/push/a").body, HasSubstr("\"ok\":false"));
    EXPECT_EQ(Get("/status", "HEAD").code, 200);
    EXPECT_EQ(Get("/health").code, 503) << "no host has reported";
    for (const char* path : {"/metrics", "/metrics/self", "/sd/hosts", "/-/ready", "/statusx",
                             "/status/../metrics", "/%2e/metrics", "/probe?target=x"}) {
      EXPECT_EQ(Get(path).code, 404) << path;
    }
  }

  test::TempDir dir_;
  std::unique_ptr<Collector> collector_;
  HttpClient client_;
  uint16_t port_ = FreePort();
};

TEST_F(ProxyTest, Nginx) {
  if (!HasProgram("nginx")) GTEST_SKIP() << "no nginx";
  const std::string example = ReadFile(absl::StrCat(kExamples, "nginx-status.conf"));
  const std::string ours = absl::StrReplaceAll(
      example, {{"127.0.0.1:10236", Upstream()},
                {"listen 443", absl::StrCat("listen 127.0.0.1:", port_)},
                {"listen [::]:443", absl::StrCat("listen [::1]:", port_)},
                {"status.chitter.xyz;", "localhost;"},
                {"/etc/letsencrypt/live/status.chitter.xyz/fullchain.pem", dir_ / "cert.pem"},
                {"/etc/letsencrypt/live/status.chitter.xyz/privkey.pem", dir_ / "key.pem"}});
  test::Nginx nginx(ours, port_);
  CheckPaths();
}

TEST_F(ProxyTest, Caddy) {
  if (!HasProgram("caddy")) GTEST_SKIP() << "no caddy";
  const std::string example = ReadFile(absl::StrCat(kExamples, "Caddyfile"));
  test::WriteFile(
      dir_ / "Caddyfile",
      absl::StrCat("{\n\tadmin off\n\tauto_https disable_redirects\n}\n",
                   absl::StrReplaceAll(
                       example, {{"127.0.0.1:10236", Upstream()},
                                 {"status.chitter.xyz {",
                                  absl::StrCat("https://localhost:", port_, " {\n\ttls ",
                                               dir_ / "cert.pem", " ", dir_ / "key.pem")}})));
  Process::Options options;
  options.output_path = dir_ / "log";
  options.environment = {
      {"HOME", dir_ / ""}, {"XDG_DATA_HOME", dir_ / "data"}, {"XDG_CONFIG_HOME", dir_ / "config"}};
  Process caddy({"caddy", "run", "--adapter", "caddyfile", "--config", dir_ / "Caddyfile"},
                options);
  ASSERT_TRUE(WaitFor([&] { return test::AcceptsConnections(port_) || !caddy.Running(); }))
      << ReadFile(dir_ / "log");
  ASSERT_TRUE(caddy.Running()) << ReadFile(dir_ / "log");
  CheckPaths();
}

}  // namespace
}  // namespace fleet::collector
