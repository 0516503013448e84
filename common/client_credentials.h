#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"

namespace grpc {
class ChannelCredentials;
}

namespace fleet {

/// What a client of the collector believes and presents; PEM texts.
struct ClientTls {
  /// The roots it believes in. Empty with `pin`, before anything is known.
  std::string ca;
  /// The fingerprint (see CertificateFacts) of the only root it believes in, which then comes along
  /// with the collector's certificate.
  std::string pin;
  /// Both empty: it presents none.
  std::string cert;
  std::string key;
};

/// Credentials for a channel to a collector: TLS, where the other end must have a certificate with
/// the role of a collector, from one of our roots, whatever address was dialled. So an agent, whose
/// certificate is from the same roots, cannot pose as the collector. The reason of a refusal stands
/// in the error of the call. `clock` judges dates and must outlive the channel.
/// Errors: kInvalidArgument for texts that cannot be used.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CollectorCredentials(const ClientTls& tls,
                                                                               Clock& clock);

/// Reads the three PEM files (see ReadSecretFile) as they are now.
/// Errors: as ReadSecretFile.
absl::StatusOr<ClientTls> ReadClientTls(const std::string& ca_path, const std::string& cert_path,
                                        const std::string& key_path);

}  // namespace fleet
