#include "common/client_credentials.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/secret.h"
#include "common/status_macros.h"
#include "common/x509.h"

namespace fleet {
namespace {

using grpc::experimental::CertificateVerifier;
using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::TlsCustomVerificationCheckRequest;

/// All of the verification: the handshake itself only proves that the peer has its key.
class CollectorVerifier final : public ExternalCertificateVerifier {
 public:
  CollectorVerifier(std::optional<TrustAnchors> anchors, std::string pin, Clock& clock)
      : anchors_(std::move(anchors)), pin_(std::move(pin)), clock_(clock) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* sync_status) override {
    const absl::Status status =
        Judge(ToText(request->peer_cert()), ToText(request->peer_cert_full_chain()));
    if (!status.ok()) {
      *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(status.message()));
    }
    return true;
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  static std::string ToText(grpc::string_ref text) { return {text.data(), text.size()}; }

  absl::Status Judge(const std::string& leaf, const std::string& chain) const {
    std::optional<TrustAnchors> anchors = anchors_;
    if (!anchors.has_value()) {
      const absl::StatusOr<std::string> root = FindCertificate(chain, pin_);
      if (!root.ok()) {
        return absl::UnauthenticatedError(
            "the collector does not have the CA that the token names: is this the right address?");
      }
      FLEET_ASSIGN_OR_RETURN(anchors, TrustAnchors::Parse(*root, ""));
    }
    const PeerCheck check = anchors->VerifyRole(leaf, chain, clock_.Now(), Role::kCollector);
    if (check.ok()) return absl::OkStatus();
    return absl::UnauthenticatedError(absl::StrCat("the other end is no collector of ours (",
                                                   DistrustName(check.distrust),
                                                   "): ", check.text));
  }

  const std::optional<TrustAnchors> anchors_;
  const std::string pin_;
  Clock& clock_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CollectorCredentials(const ClientTls& tls,
                                                                               Clock& clock) {
  std::optional<TrustAnchors> anchors;
  if (!tls.ca.empty()) {
    FLEET_ASSIGN_OR_RETURN(anchors, TrustAnchors::Parse(tls.ca, ""));
  } else if (tls.pin.empty()) {
    return absl::InvalidArgumentError("no CA to believe in");
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  // gRPC insists on roots of its own; believing is the verifier's.
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      ExternalCertificateVerifier::Create<CollectorVerifier>(std::move(anchors), tls.pin, clock));
  if (!tls.cert.empty() || !tls.key.empty()) {
    FLEET_RETURN_IF_ERROR(CheckKeyPair(tls.cert, tls.key));
    options.set_certificate_provider(
        std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
            tls.ca, std::vector<grpc::experimental::IdentityKeyCertPair>{{tls.key, tls.cert}}));
    options.watch_identity_key_cert_pairs();
    options.watch_root_certs();
  }
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<ClientTls> ReadClientTls(const std::string& ca_path, const std::string& cert_path,
                                        const std::string& key_path) {
  ClientTls tls;
  FLEET_ASSIGN_OR_RETURN(tls.ca, ReadSecretFile(ca_path));
  FLEET_ASSIGN_OR_RETURN(tls.cert, ReadSecretFile(cert_path));
  FLEET_ASSIGN_OR_RETURN(tls.key, ReadSecretFile(key_path));
  return tls;
}

}  // namespace fleet
