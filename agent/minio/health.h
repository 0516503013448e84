#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/http_client.h"
#include "common/report.h"

namespace fleet::agent {

/// What one look at a part of a minio server says: an Item in the making.
struct MinioFinding {
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;
  bool operator==(const MinioFinding&) const = default;
};

/// Whether minio itself replied, not a proxy in front of it: proxies pass its x-minio- and x-amz-
/// headers on, and write others of their own.
bool IsFromMinio(const HttpResponse& response);

/// "HTTP 503 from nginx, not from minio", "HTTP 503 SlowDown: Please reduce …": a reply that is not
/// what was hoped for, in words.
std::string DescribeReply(const HttpResponse& response);

/// What /minio/health/live says about the process. OK proves little: see JudgeMinioCluster.
/// Errors: kUnavailable with the reason: no reply, busy, not yet initialised, or not minio.
/// Source: cmd/healthcheck-handler.go of minio
absl::Status JudgeMinioLive(const absl::StatusOr<HttpResponse>& reply);

/// What /minio/health/cluster (to write) or …/cluster/read says.
struct MinioCluster {
  MinioFinding finding;
  bool offered = true;        // false: an old minio that has no such path
  std::optional<int> quorum;  // drives needed
  std::optional<int> healing_drives;
};
MinioCluster JudgeMinioCluster(const absl::StatusOr<HttpResponse>& reply, bool read);

}  // namespace fleet::agent
