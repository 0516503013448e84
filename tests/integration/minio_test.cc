#include <sched.h>

#include <csignal>

#include "absl/strings/match.h"
#include "agent/checks/checks.h"
#include "common/http_client.h"
#include "tests/support/check_runner.h"
#include "tests/support/fake_minio.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::FakeMinio;
using ::fleet::test::FreePort;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::Process;
using ::fleet::test::Shell;
using ::fleet::test::StatusIs;
using ::fleet::test::TempDir;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class MinioTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = FakeMinio::Missing(); !missing.empty()) {
      GTEST_SKIP() << "needs " << missing;
    }
    minio_ = std::make_unique<FakeMinio>();
    runner_.UseRealClock();
    runner_.set_deadline(absl::Seconds(14));
    MinioServer server;
    server.url = minio_->url();
    server.token_file = minio_->file("token");
    WriteFile(server.token_file, FakeMinio::Token() + "\n");
    runner_.options().minio.servers = {server};
  }

  MinioServer& server() { return runner_.options().minio.servers[0]; }
  CheckResult Run() { return runner_.Run(MakeMinioCheck); }

  void UseCanary() {
    server().canary_bucket = "canary";
    server().canary_access_key_file = minio_->file("access");
    server().canary_secret_key_file = minio_->file("secret");
    WriteFile(server().canary_access_key_file, "fleet-access\n");
    WriteFile(server().canary_secret_key_file, "fleet-secret\n");
  }
  std::string Objects() {
    HttpRequest request;
    request.url = minio_->url("/_objects");
    const auto reply = HttpClient().Fetch(request);
    return reply.ok() ? reply->body : std::string(reply.status().message());
  }

  std::unique_ptr<FakeMinio> minio_;
  CheckRunner runner_{HostFs()};
};

TEST_F(MinioTest, ShowsAServerThatIsWell) {
  const CheckResult result = Run();
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(),
              ElementsAre("cluster ok write quorum (3 drives needed)",
                          "cluster read ok read quorum (3 drives needed)", "drives ok 4 online",
                          "capacity ok 60.0 % of 1.8 TiB used"));
  EXPECT_EQ(result.report.reason,
            absl::StrCat("127.0.0.1:", minio_->port(), " serves, 60.0 % of 1.8 TiB used"));
  EXPECT_THAT(result.lines(),
              AllOf(Contains("minio_cluster_capacity_usable_free_bytes{server=\"127.0.0.1:9000\"} "
                             "8e+11"),
                    Contains("minio_s3_requests_total{api=\"getobject\",server=\"127.0.0.1:9000\"} "
                             "123456"),
                    Contains("fleet_minio_health{probe=\"cluster_read\"} 1"),
                    Contains("fleet_minio_quorum_drives{operation=\"write\"} 3"),
                    Not(Contains(HasSubstr("distribution"))), Not(Contains(HasSubstr("syscall")))));
  // In both pages, but once in the report.
  EXPECT_EQ(result.value("minio_software_version_info{server=\"127.0.0.1:9000\",version="
                         "\"2024-02-26T09:33:48Z\"}"),
            1);
  int versions = 0;
  for (const std::string& line : result.lines()) {
    versions += absl::StartsWith(line, "minio_software_version_info") ? 1 : 0;
  }
  EXPECT_EQ(versions, 1);
  for (const SampleSet::Family& family : result.report.samples.families()) {
    const bool counter = family.name == "minio_s3_requests_total";
    EXPECT_EQ(family.type == MetricType::kCounter, counter) << family.name;
  }
}

TEST_F(MinioTest, FindsTheGenerationOfMetricsByItself) {
  minio_->Set(R"({"v2": false, "values": {"minio_system_drive_health": 0,
                  "minio_cluster_health_drives_offline_count": 2}})");
  const auto check = MakeMinioCheck(runner_.env());
  CheckResult result = runner_.Run(*check);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.lines(), Contains(StartsWith("minio_api_requests_total{")));
  EXPECT_THAT(result.items(),
              Contains("drives warn 2 of 6 drives offline: /data/1 on 127.0.0.1:9000, /data/2 on "
                       "127.0.0.1:9000"));
  // Known from now on: not one request more to v2.
  const size_t before = minio_->Log().size();
  runner_.Run(*check);
  EXPECT_THAT(minio_->Log().substr(before), Not(HasSubstr("/v2/")));

  server().metrics = "v2";
  EXPECT_THAT(Run().items(), Contains(StartsWith("metrics unknown:error no metrics: HTTP 404")));
  server().metrics = "off";
  EXPECT_THAT(Run().items(), Not(Contains(StartsWith("metrics"))));
}

TEST_F(MinioTest, IsBlindWithoutAValidTokenButStillSeesTheRest) {
  WriteFile(server().token_file, FakeMinio::Token("another secret"));
  CheckResult result = Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(),
              AllOf(Contains(StartsWith("metrics unknown:blind minio refuses this token")),
                    Contains(HasSubstr("mc admin prometheus generate")),
                    Contains(StartsWith("cluster ok"))));
  server().token_file.clear();
  EXPECT_THAT(Run().items(), Contains(StartsWith("metrics unknown:blind minio's metrics need a "
                                                 "token: run `mc admin prometheus generate")));
  server().token_file = "/nonexistent/token";
  EXPECT_THAT(Run().items(), Contains(StartsWith("metrics unknown:blind cannot read token_file")));
  server().token_file.clear();
  minio_->Set(R"({"auth": "public"})");
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
}

TEST_F(MinioTest, DoesNotTakeLiveForProof) {
  minio_->Set(R"({"write_quorum": false, "quorum_drives": 2})");
  CheckResult result = Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), Contains("cluster crit no write quorum (2 drives needed): too many "
                                       "drives or nodes are offline"));
  EXPECT_EQ(result.value("fleet_minio_health{probe=\"live\"}"), 1);
  EXPECT_EQ(result.value("fleet_minio_health{probe=\"cluster\"}"), 0);
  EXPECT_EQ(result.value("fleet_minio_health{probe=\"cluster_read\"}"), 1);

  minio_->Set(R"({"read_quorum": false})");
  EXPECT_THAT(Run().items(), Contains(StartsWith("cluster read crit no read quorum")));
  // 200 all the same.
  minio_->Set(R"({"server_status": "offline"})");
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not initialised (offline)")));
  minio_->Set(R"({"live": false})");
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("more requests than it can take: HTTP 503 SlowDown")));
}

TEST_F(MinioTest, JudgesCapacityDrivesAndHealing) {
  minio_->Set(R"({"healing_drives": 2, "values": {
      "minio_cluster_capacity_usable_free_bytes": 2e11, "minio_cluster_nodes_offline_total": 1,
      "minio_cluster_drive_offline_total": 1, "minio_cluster_drive_online_total": 3}})");
  EXPECT_THAT(Run().items(), AllOf(Contains("healing warn 2 drives are being healed"),
                                   Contains("drives warn 1 of 4 drives offline"),
                                   Contains("nodes warn 1 nodes offline"),
                                   Contains("capacity warn 90.0 % of 1.8 TiB used")));
  minio_->Set(R"({"values": {"minio_cluster_capacity_usable_free_bytes": 1e10}})");
  EXPECT_THAT(Run().items(), Contains("capacity crit 99.5 % of 1.8 TiB used"));
}

TEST_F(MinioTest, SaysWhatIsWrongWithAServerThatMisbehaves) {
  for (const auto& [how, words] : std::initializer_list<std::pair<const char*, const char*>>{
           {"garbage", "HTTP"},
           {"close", "closed without a reply"},
           {"half", "broke in the middle"},
           {"huge", "larger than"}}) {
    SCOPED_TRACE(how);
    minio_->Set(absl::StrCat(R"({"behave": {"*": ")", how, R"("}})"));
    EXPECT_THAT(Run().status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(words)));
  }
  minio_->Set(R"({"behave": {"/minio/v2/metrics/cluster": "huge"}})");
  EXPECT_THAT(Run().items(),
              AllOf(Contains(StartsWith("metrics unknown:error the reply is larger than 8.0 MiB")),
                    Contains(StartsWith("cluster ok"))));
  minio_->Set(R"({"behave": {"/minio/v2/metrics/cluster": "text",
                             "/minio/v2/metrics/node": "text"}})");
  EXPECT_THAT(Run().items(), Contains("metrics unknown:error the reply holds no metrics of minio"));

  minio_->process().Kill(SIGKILL);
  minio_->process().Wait(absl::Seconds(5));
  const CheckResult down = Run();
  EXPECT_THAT(down.status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("connection refused")));
  EXPECT_EQ(down.value("fleet_minio_health{probe=\"live\"}"), 0);
}

TEST_F(MinioTest, EndsBeforeItsDeadline) {
  runner_.set_deadline(absl::Seconds(2));
  minio_->Set(R"({"slow": {"/minio/health/cluster": 60}})");
  absl::Time begin = absl::Now();
  EXPECT_THAT(Run().items(), Contains(StartsWith("cluster crit no reply within")));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));

  minio_->process().Kill(SIGSTOP);
  begin = absl::Now();
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("waiting for a reply")));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(2));
  minio_->process().Kill(SIGCONT);
}

TEST_F(MinioTest, WritesReadsAndDeletesACanary) {
  UseCanary();
  const auto check = MakeMinioCheck(runner_.env());
  CheckResult result = runner_.Run(*check);
  EXPECT_THAT(result.items(),
              Contains(MatchesRegex("canary ok PUT [^,]+, GET [^,]+, DELETE [^,]+")));
  EXPECT_GT(result.value("fleet_minio_canary_seconds{operation=\"PUT\"}"), 0);
  EXPECT_EQ(result.value("fleet_minio_canary_success"), 1);
  EXPECT_THAT(minio_->Log(), HasSubstr("PUT /canary/.fleet-canary/"));
  EXPECT_EQ(Objects(), "[]");
  // Its own interval: the next run shows the same round, with its age.
  const size_t before = minio_->Log().size();
  result = runner_.Run(*check);
  EXPECT_THAT(minio_->Log().substr(before), Not(HasSubstr("PUT")));
  EXPECT_GT(result.value("fleet_minio_canary_age_seconds"), 0);
  EXPECT_THAT(result.items(), Contains(StartsWith("canary ok PUT")));
}

TEST_F(MinioTest, NamesWhyTheCanaryFailed) {
  UseCanary();
  WriteFile(server().canary_secret_key_file, "fleet-secreT");
  CheckResult result = Run();
  EXPECT_THAT(result.items(), Contains(StartsWith("canary unknown:blind PUT refused: HTTP 403 "
                                                  "SignatureDoesNotMatch")));
  EXPECT_EQ(result.value("fleet_minio_canary_success"), 0);
  WriteFile(server().canary_secret_key_file, "fleet-secret");
  WriteFile(server().canary_access_key_file, "who");
  EXPECT_THAT(Run().items(), Contains(HasSubstr("InvalidAccessKeyId")));
  WriteFile(server().canary_access_key_file, "");
  EXPECT_THAT(Run().items(), Contains(StartsWith("canary unknown:blind no key")));
  WriteFile(server().canary_access_key_file, "fleet-access");

  minio_->Set(R"({"deny": "DELETE"})");
  EXPECT_THAT(Run().items(), Contains(AllOf(StartsWith("canary unknown:blind DELETE refused"),
                                            HasSubstr("s3:DeleteObject on arn:aws:s3:::canary/"))));
  minio_->Set(R"({"corrupt": true})");
  EXPECT_THAT(Run().items(), Contains(MatchesRegex("canary crit read back [0-9]+ bytes that "
                                                   "differ from the [0-9]+ written")));
  minio_->Set(R"({"buckets": []})");
  EXPECT_THAT(Run().items(), Contains(HasSubstr("no bucket \"canary\": make it with mc mb")));
  minio_->Set(R"({"region": "eu-central-1"})");
  EXPECT_THAT(Run().items(), Contains(HasSubstr("AuthorizationHeaderMalformed")));
  minio_->Set("{}");
  server().canary_latency_warn = absl::Nanoseconds(1);
  EXPECT_THAT(Run().items(), Contains(StartsWith("canary warn slow: PUT")));
  EXPECT_EQ(Objects(), "[]");
}

TEST_F(MinioTest, AsksOtherServersOfS3OnlyWhatTheyOffer) {
  UseCanary();
  server().flavour = "s3";
  const CheckResult result = Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), ElementsAre("live ok answers", StartsWith("canary ok PUT")));
  EXPECT_THAT(minio_->Log(), Not(HasSubstr("/minio/")));
}

TEST_F(MinioTest, TellsSeveralServersApart) {
  const FakeMinio other;
  MinioServer second = server();
  second.url = other.url("/");
  second.name = "old";
  server().name = "new";
  runner_.options().minio.servers.push_back(second);
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), AllOf(Contains(StartsWith("new cluster ok")),
                                    Contains(StartsWith("old capacity ok"))));
  EXPECT_EQ(result.value("fleet_minio_health{server=\"old\",probe=\"live\"}"), 1);
  minio_->process().Kill(SIGKILL);
  minio_->process().Wait(absl::Seconds(5));
  const CheckResult half = Run();
  EXPECT_THAT(half.status, HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(half.items(), AllOf(Contains("new crit connection refused"),
                                  Contains(StartsWith("old cluster ok"))));
}

TEST_F(MinioTest, SeesThroughNginxAndBlamesItForItsOwnReplies) {
  if (!fleet::test::HasProgram("nginx")) GTEST_SKIP() << "needs nginx";
  const TempDir dir;
  const uint16_t port = FreePort();
  WriteFile(dir / "nginx.conf",
            absl::StrCat("daemon off; pid ", dir / "pid", "; error_log ", dir / "error",
                         ";\nevents {}\nhttp {\n access_log off;\n client_body_temp_path ",
                         dir / "body", ";\n proxy_temp_path ", dir / "proxy",
                         ";\n fastcgi_temp_path ", dir / "f", ";\n uwsgi_temp_path ", dir / "u",
                         ";\n scgi_temp_path ", dir / "s", ";\n server { listen 127.0.0.1:", port,
                         ";\n location / { proxy_pass ", minio_->url(),
                         "; proxy_set_header Host $http_host; }\n"
                         " location /busy/ { return 503; } } }\n"));
  Process::Options options;
  options.output_path = dir / "log";
  Process nginx({"nginx", "-p", dir.path(), "-c", dir / "nginx.conf"}, options);
  server().url = absl::StrCat("http://127.0.0.1:", port);
  UseCanary();
  ASSERT_TRUE(WaitFor([this] { return Run().status.ok(); })) << test::ReadFile(dir / "error");
  EXPECT_THAT(Run().items(),
              AllOf(Contains("cluster ok write quorum (3 drives needed)"),
                    Contains(StartsWith("capacity ok")), Contains(StartsWith("canary ok"))));
  minio_->Set(R"({"write_quorum": false})");
  EXPECT_THAT(Run().items(), Contains(StartsWith("cluster crit no write quorum")));
  minio_->Set("{}");

  server().url = absl::StrCat("http://127.0.0.1:", port, "/busy");
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("HTTP 503 from nginx/")));
  server().url = absl::StrCat("http://127.0.0.1:", port);
  minio_->process().Kill(SIGKILL);
  minio_->process().Wait(absl::Seconds(5));
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("HTTP 502 from nginx/"), HasSubstr("not from minio"))));
  nginx.Stop();
}

/// Port 9000 of a network of our own: whatever else this machine runs.
TEST_F(MinioTest, IsFoundOnPort9000AndMissedByNameAfterwards) {
  if (!fleet::test::IsRoot()) GTEST_SKIP() << "needs root for a network namespace";
  minio_.reset();
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  ASSERT_EQ(Shell("ip link set lo up").exit_code, 0);
  runner_.options().minio.servers.clear();
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(runner_.memory().entries(), IsEmpty());

  FakeMinio found(9000);
  found.Set(R"({"auth": "public"})");
  const CheckResult result = Run();
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), Contains(StartsWith("capacity ok")));
  found.process().Kill(SIGKILL);
  found.process().Wait(absl::Seconds(5));
  EXPECT_THAT(Run().status, StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("http://127.0.0.1:9000: connection refused")));
}

}  // namespace
}  // namespace fleet::agent
