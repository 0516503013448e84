#include "agent/minio/health.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/s3_error.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr int kOk = 200;
constexpr int kUnavailableCode = 503;

std::optional<int> NumberHeader(const HttpResponse& response, absl::string_view name) {
  const std::string* text = response.header(name);
  int number = 0;
  if (text == nullptr || !absl::SimpleAtoi(*text, &number)) return std::nullopt;
  return number;
}

/// Codes by which servers say that they do not know a path.
bool IsUnknownPath(int code) { return code == 400 || code == 404 || code == 405 || code == 501; }

/// "not initialised (bucket-metadata-offline)"; empty when it is.
std::string WhyNotInitialised(const HttpResponse& response) {
  const std::string* status = response.header("x-minio-server-status");
  if (status == nullptr || status->empty()) return "";
  return absl::StrCat("minio is not initialised (", OneLine(*status, 64), ")");
}

}  // namespace

bool IsFromMinio(const HttpResponse& response) {
  for (const auto& [name, value] : response.headers) {
    if (absl::StartsWithIgnoreCase(name, "x-minio-") ||
        absl::EqualsIgnoreCase(name, "x-amz-request-id") ||
        (absl::EqualsIgnoreCase(name, "server") && absl::StartsWithIgnoreCase(value, "minio"))) {
      return true;
    }
  }
  return false;
}

std::string DescribeReply(const HttpResponse& response) {
  std::string text = absl::StrCat("HTTP ", response.code);
  if (const S3Error error = ParseS3Error(response.body); !error.code.empty()) {
    absl::StrAppend(&text, " ", error.code, error.message.empty() ? "" : ": ", error.message);
    return text;
  }
  if (!IsFromMinio(response)) {
    const std::string* server = response.header("server");
    absl::StrAppend(&text, " from ", server == nullptr ? "a proxy" : OneLine(*server, 64),
                    ", not from minio");
  }
  return text;
}

absl::Status JudgeMinioLive(const absl::StatusOr<HttpResponse>& reply) {
  if (!reply.ok()) return absl::UnavailableError(reply.status().message());
  if (const std::string why = WhyNotInitialised(*reply); !why.empty()) {
    return absl::UnavailableError(why);
  }
  if (reply->code == kOk) return absl::OkStatus();
  if (reply->code == kUnavailableCode && IsFromMinio(*reply)) {
    return absl::UnavailableError(
        absl::StrCat("minio has more requests than it can take: ", DescribeReply(*reply)));
  }
  return absl::UnavailableError(DescribeReply(*reply));
}

MinioCluster JudgeMinioCluster(const absl::StatusOr<HttpResponse>& reply, bool read) {
  const absl::string_view what = read ? "read" : "write";
  MinioCluster cluster;
  cluster.finding.verdict = Verdict::kCrit;
  if (!reply.ok()) {
    cluster.finding.reason = std::string(reply.status().message());
    return cluster;
  }
  cluster.quorum = NumberHeader(*reply, absl::StrCat("x-minio-", what, "-quorum"));
  cluster.healing_drives = NumberHeader(*reply, "x-minio-healing-drives");
  const std::string needed =
      cluster.quorum ? absl::StrCat(" (", *cluster.quorum, " drives needed)") : "";
  if (reply->code == kOk) {
    // Anything may say 200 to anything: a page of nginx, another service on the port.
    if (IsFromMinio(*reply)) {
      cluster.finding = {Verdict::kOk, UnknownKind::kNone, absl::StrCat(what, " quorum", needed)};
    } else {
      cluster.finding.reason = absl::StrCat("what answers is not minio: ", DescribeReply(*reply));
    }
  } else if (IsUnknownPath(reply->code) && IsFromMinio(*reply)) {
    cluster.offered = false;
    cluster.finding = {Verdict::kOk, UnknownKind::kNone, "not offered by this version"};
  } else if (const std::string why = WhyNotInitialised(*reply); !why.empty()) {
    cluster.finding.reason = why;
  } else if (reply->code == kUnavailableCode && IsFromMinio(*reply)) {
    cluster.finding.reason =
        absl::StrCat("no ", what, " quorum", needed, ": too many drives or nodes are offline");
  } else {
    cluster.finding.reason = DescribeReply(*reply);
  }
  return cluster;
}

}  // namespace fleet::agent
