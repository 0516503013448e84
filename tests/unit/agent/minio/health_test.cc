#include "agent/minio/health.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::Eq;
using ::testing::HasSubstr;

using Headers = std::vector<std::pair<std::string, std::string>>;

HttpResponse Reply(int code, Headers headers, std::string body = "") {
  HttpResponse reply;
  reply.code = code;
  reply.headers = std::move(headers);
  reply.body = std::move(body);
  return reply;
}
HttpResponse FromMinio(int code, Headers headers = {}, std::string body = "") {
  headers.emplace_back("Server", "MinIO");
  return Reply(code, std::move(headers), std::move(body));
}
HttpResponse FromNginx(int code, Headers headers = {}) {
  headers.emplace_back("Server", "nginx/1.22.1");
  return Reply(code, std::move(headers), "<html>" + std::to_string(code) + "</html>");
}

TEST(JudgeMinioLiveTest, TakesA200OnlyFromAnInitialisedServer) {
  EXPECT_THAT(JudgeMinioLive(FromMinio(200)), IsOk());
  EXPECT_THAT(JudgeMinioLive(FromMinio(200, {{"X-Minio-Server-Status", "offline"}})),
              StatusIs(absl::StatusCode::kUnavailable, Eq("minio is not initialised (offline)")));
}

TEST(JudgeMinioLiveTest, TellsMinioAndItsProxyApart) {
  EXPECT_THAT(JudgeMinioLive(FromMinio(503, {}, "<Error><Code>SlowDown</Code></Error>")),
              StatusIs(absl::StatusCode::kUnavailable,
                       Eq("minio has more requests than it can take: HTTP 503 SlowDown")));
  EXPECT_THAT(
      JudgeMinioLive(FromNginx(503)),
      StatusIs(absl::StatusCode::kUnavailable, Eq("HTTP 503 from nginx/1.22.1, not from minio")));
  // Through nginx the Server header is nginx's; minio's own headers pass.
  EXPECT_TRUE(IsFromMinio(FromNginx(503, {{"x-minio-write-quorum", "3"}})));
  EXPECT_TRUE(IsFromMinio(FromNginx(200, {{"X-Amz-Request-Id", "17"}})));
  EXPECT_FALSE(IsFromMinio(FromNginx(200)));
}

TEST(JudgeMinioLiveTest, GivesTheReasonOfAFailure) {
  EXPECT_THAT(JudgeMinioLive(absl::DeadlineExceededError("no reply within 3 s")),
              StatusIs(absl::StatusCode::kUnavailable, Eq("no reply within 3 s")));
}

TEST(JudgeMinioClusterTest, ReadsTheQuorum) {
  const MinioCluster good = JudgeMinioCluster(
      FromMinio(200, {{"x-minio-write-quorum", "3"}, {"x-minio-healing-drives", "2"}}), false);
  EXPECT_EQ(good.finding,
            (MinioFinding{Verdict::kOk, UnknownKind::kNone, "write quorum (3 drives needed)"}));
  EXPECT_EQ(good.quorum, 3);
  EXPECT_EQ(good.healing_drives, 2);

  const MinioCluster lost = JudgeMinioCluster(FromNginx(503, {{"x-minio-read-quorum", "2"}}), true);
  EXPECT_EQ(lost.finding.verdict, Verdict::kCrit);
  EXPECT_EQ(lost.finding.reason,
            "no read quorum (2 drives needed): too many drives or nodes are offline");
}

TEST(JudgeMinioClusterTest, NamesEveryOtherCause) {
  const auto reason = [](const HttpResponse& reply) {
    const MinioCluster cluster = JudgeMinioCluster(reply, false);
    EXPECT_EQ(cluster.finding.verdict, Verdict::kCrit);
    return cluster.finding.reason;
  };
  EXPECT_EQ(reason(FromMinio(503, {{"x-minio-server-status", "iam-offline"}})),
            "minio is not initialised (iam-offline)");
  EXPECT_EQ(reason(FromNginx(503)), "HTTP 503 from nginx/1.22.1, not from minio");
  EXPECT_EQ(reason(FromNginx(404)), "HTTP 404 from nginx/1.22.1, not from minio");
  EXPECT_THAT(reason(FromNginx(200)), HasSubstr("what answers is not minio"));
  EXPECT_EQ(reason(FromMinio(500)), "HTTP 500");
  const MinioCluster slow =
      JudgeMinioCluster(absl::DeadlineExceededError("no reply within 12 s"), false);
  EXPECT_EQ(slow.finding.verdict, Verdict::kCrit);
  EXPECT_EQ(slow.finding.reason, "no reply within 12 s");
}

TEST(JudgeMinioClusterTest, ForgivesAnOldServerWithoutThePath) {
  const MinioCluster old = JudgeMinioCluster(FromMinio(404), true);
  EXPECT_FALSE(old.offered);
  EXPECT_EQ(old.finding.verdict, Verdict::kOk);
}

}  // namespace
}  // namespace fleet::agent
