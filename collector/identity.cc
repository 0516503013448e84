#include "collector/identity.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/host_name.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

std::vector<std::string> Values(const grpc::AuthContext& context, const char* property) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(property)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

}  // namespace

absl::StatusOr<std::string> NameOfCertificate(absl::string_view common_name,
                                              const std::vector<std::string>& dns_names) {
  absl::string_view name = common_name;
  if (!dns_names.empty() &&
      std::find(dns_names.begin(), dns_names.end(), common_name) == dns_names.end()) {
    name = dns_names.front();
  }
  if (name.empty()) return absl::UnauthenticatedError("the client certificate names nobody");
  if (!IsHostName(name)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the client certificate names ", Quote(name), ", which is no host name"));
  }
  return std::string(name);
}

absl::StatusOr<Identity> IdentifyPeer(const grpc::AuthContext& context, bool insecure) {
  if (insecure) return Identity{};
  const std::vector<std::string> common_names = Values(context, GRPC_X509_CN_PROPERTY_NAME);
  absl::StatusOr<std::string> name =
      NameOfCertificate(common_names.empty() ? "" : common_names.front(),
                        Values(context, GRPC_PEER_DNS_PROPERTY_NAME));
  if (!name.ok()) return name.status();
  return Identity{.name = *std::move(name), .verified = true};
}

}  // namespace fleet::collector
