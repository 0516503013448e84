#include "collector/remote_write/request.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "collector/remote_write/proto_wire.h"
#include "common/secret.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

uint64_t MetadataType(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return 1;
    case MetricType::kGauge:
      return 2;
    case MetricType::kUntyped:
      return 0;
  }
  return 0;
}

}  // namespace

absl::StatusOr<::fleet::HttpRequest> MakeRequest(const ReceiverOptions& options) {
  ::fleet::HttpRequest request;
  request.method = "POST";
  request.url = options.url;
  request.ca_file = options.ca;
  request.timeout = options.timeout;
  request.headers = {{"Content-Type", "application/x-protobuf"},
                     {"Content-Encoding", "snappy"},
                     {"X-Prometheus-Remote-Write-Version", "0.1.0"},
                     {"Expect", ""}};  // libcurl would ask first and wait
  if (!options.user.empty()) {
    std::string password;
    if (!options.password_file.empty()) {
      FLEET_ASSIGN_OR_RETURN(password, ReadSecretFile(options.password_file));
    }
    request.headers.emplace_back(
        "Authorization",
        absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(options.user, ":", password))));
  } else if (!options.bearer_token_file.empty()) {
    FLEET_ASSIGN_OR_RETURN(const std::string token, ReadSecretFile(options.bearer_token_file));
    request.headers.emplace_back("Authorization", absl::StrCat("Bearer ", token));
  }
  request.headers.insert(request.headers.end(), options.headers.begin(), options.headers.end());
  return request;
}

void PutMetadata(const FamilyInfo& family, std::string& out) {
  std::string message;
  if (const uint64_t type = MetadataType(family.type); type != 0) {
    proto::PutTag(1, proto::kVarint, message);
    proto::PutVarint(type, message);
  }
  proto::PutText(2, family.name, message);
  proto::PutText(4, family.help, message);
  proto::PutText(3, message, out);
}

}  // namespace fleet::collector
