#include "agent/minio/canary.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "agent/parse/s3_error.h"
#include "common/escape.h"
#include "common/secret.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kFolder = ".fleet-canary";
constexpr absl::Duration kOperationTimeout = absl::Seconds(5);
constexpr size_t kBlocks = 16;  // of 64 bytes

std::string MakeBody(absl::string_view host, absl::string_view nonce) {
  std::string body = absl::StrCat("fleet canary of ", host, "\n");
  std::string block = Sha256Hex(absl::StrCat(host, nonce));
  for (size_t i = 0; i < kBlocks; ++i) {
    absl::StrAppend(&body, block);
    block = Sha256Hex(block);
  }
  return body;
}

MinioFinding Blind(std::string reason) {
  return {Verdict::kUnknown, UnknownKind::kBlind, std::move(reason)};
}

/// A reply that is not a success, told apart: ours to grant, ours to set up, or the server's fault.
MinioFinding JudgeRefusal(const MinioServer& server, absl::string_view method,
                          const HttpResponse& reply) {
  const std::string words = DescribeReply(reply);
  const std::string code = ParseS3Error(reply.body).code;
  if (reply.code == 403 && code == "AccessDenied") {
    return Blind(absl::StrCat(method, " refused: ", words,
                              "; the policy of this key must allow s3:PutObject, s3:GetObject and "
                              "s3:DeleteObject on arn:aws:s3:::",
                              server.canary_bucket, "/", kFolder, "/*"));
  }
  if (reply.code == 401 || reply.code == 403 || code == "AuthorizationHeaderMalformed") {
    return Blind(absl::StrCat(method, " refused: ", words,
                              "; look at access_key_file, secret_key_file and region of the canary "
                              "and at this host's clock"));
  }
  if (code == "NoSuchBucket") {
    return {Verdict::kUnknown, UnknownKind::kError,
            absl::StrCat("no bucket ", Quote(server.canary_bucket), ": make it with mc mb ALIAS/",
                         server.canary_bucket)};
  }
  return {Verdict::kCrit, UnknownKind::kNone, absl::StrCat(method, " failed: ", words)};
}

class Round {
 public:
  Round(HttpClient& client, const MinioServer& server, absl::string_view host,
        absl::Duration timeout)
      : client_(client), server_(server), end_(absl::Now() + timeout) {
    request_.url =
        absl::StrCat(absl::StripSuffix(server.url, "/"), "/", PercentEncode(server.canary_bucket),
                     "/", PercentEncode(absl::StrCat(kFolder, "/", host), /*keep_slash=*/true));
    request_.ca_file = server.ca_file;
  }

  /// False, with the finding set, when the keys cannot be read.
  bool ReadKeys() {
    HttpSigner signer;
    signer.region = server_.canary_region;
    for (const auto& [path, key] : {std::pair<const std::string&, std::string&>{
                                        server_.canary_access_key_file, signer.access_key},
                                    std::pair<const std::string&, std::string&>{
                                        server_.canary_secret_key_file, signer.secret_key}}) {
      const absl::StatusOr<std::string> secret = ReadSecretFile(path);
      if (!secret.ok()) {
        result_.finding = Blind(absl::StrCat("no key: ", secret.status().message()));
        return false;
      }
      key = *secret;
    }
    request_.signer = std::move(signer);
    return true;
  }

  /// Sends one request. False, with the finding set, unless it worked.
  bool Do(absl::string_view method, std::string body, std::string* reply_body = nullptr) {
    request_.method = std::string(method);
    request_.body = std::move(body);
    request_.timeout = std::min(kOperationTimeout, end_ - absl::Now());
    if (request_.timeout <= absl::ZeroDuration()) {
      SetWorst({Verdict::kCrit, UnknownKind::kNone, absl::StrCat(method, ": no time left")});
      return false;
    }
    const absl::StatusOr<HttpResponse> reply = client_.Fetch(request_);
    if (!reply.ok()) {
      SetWorst({Verdict::kCrit, UnknownKind::kNone,
                absl::StrCat(method, " failed: ", reply.status().message())});
      return false;
    }
    if (reply->code / 100 != 2) {
      SetWorst(JudgeRefusal(server_, method, *reply));
      return false;
    }
    if (reply_body != nullptr) *reply_body = reply->body;
    result_.operations.emplace_back(method, reply->timings.total);
    return true;
  }

  void SetWorst(MinioFinding finding) {
    if (IsWorse(finding.verdict, result_.finding.verdict)) result_.finding = std::move(finding);
  }
  CanaryResult& result() { return result_; }

 private:
  HttpClient& client_;
  const MinioServer& server_;
  const absl::Time end_;
  HttpRequest request_;
  CanaryResult result_;
};

}  // namespace

CanaryResult RunCanary(HttpClient& client, const MinioServer& server, absl::string_view host,
                       absl::string_view nonce, absl::Duration timeout) {
  Round round(client, server, host, timeout);
  if (!round.ReadKeys()) return std::move(round.result());
  const std::string body = MakeBody(host, nonce);
  if (!round.Do("PUT", body)) return std::move(round.result());
  std::string read;
  if (round.Do("GET", "", &read) && read != body) {
    round.SetWorst({Verdict::kCrit, UnknownKind::kNone,
                    absl::StrCat("read back ", read.size(), " bytes that differ from the ",
                                 body.size(), " written")});
  }
  round.Do("DELETE", "");

  CanaryResult& result = round.result();
  if (result.finding.verdict != Verdict::kOk) return std::move(result);
  absl::Duration total;
  for (const auto& [operation, span] : result.operations) total += span;
  result.finding.reason =
      absl::StrJoin(result.operations, ", ", [](std::string* out, const auto& operation) {
        absl::StrAppend(out, operation.first, " ", HumanDuration(operation.second));
      });
  if (total >= server.canary_latency_warn) {
    result.finding.verdict = Verdict::kWarn;
    result.finding.reason = absl::StrCat("slow: ", result.finding.reason);
  }
  return std::move(result);
}

}  // namespace fleet::agent
