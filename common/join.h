#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/client_credentials.h"
#include "common/join_token.h"
#include "common/private_file.h"
#include "common/x509.h"

namespace fleet {

/// Where a member of the fleet keeps what proves it.
struct IdentityPaths {
  std::string ca;
  std::string cert;
  std::string key;
};

/// What a member got.
struct MemberIdentity {
  ClientTls tls;  // ca, cert and key
  CertificateFacts facts;
};

/// The files of a member to be. They lie beside their places with all the room that they need, and
/// a new key is in its own: a token is used up, and the former certificate revoked, only by who can
/// keep what comes of it.
class PendingIdentity {
 public:
  /// Room for each certificate, with those that lead to the root.
  static constexpr size_t kCertificateBytesMax = 16 << 10;

  /// Makes the directories as well. Errors: kInvalidArgument for paths that are not absolute, as
  /// the names of systemd's credentials are; by errno.
  static absl::StatusOr<PendingIdentity> Create(const IdentityPaths& paths);

  const std::string& key() const { return key_; }
  /// Puts all three in their places. Errors: by errno.
  absl::Status Commit(const ClientTls& tls);

 private:
  PendingIdentity(std::string key, PendingFile ca_file, PendingFile cert_file, PendingFile key_file)
      : key_(std::move(key)),
        ca_file_(std::move(ca_file)),
        cert_file_(std::move(cert_file)),
        key_file_(std::move(key_file)) {}

  std::string key_;
  PendingFile ca_file_;
  PendingFile cert_file_;
  PendingFile key_file_;
};

/// Has `key`, which never leaves this machine, certified for `token`. What comes back is verified
/// against the token's pin. Errors: the collector's refusal; kUnavailable when it does not answer
/// or is not the one that the token names.
absl::StatusOr<MemberIdentity> JoinFleet(const JoinToken& token, const std::string& key,
                                         absl::Duration timeout);

/// Asks `collector` for the next certificate of the same key and name; the text for the file.
/// Errors: as above.
absl::StatusOr<std::string> RenewCertificate(const std::string& collector, const ClientTls& tls,
                                             absl::Duration timeout);

}  // namespace fleet
