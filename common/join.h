#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/client_credentials.h"
#include "common/join_token.h"
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

/// Makes a key, which never leaves this machine, and has it certified for `token`. What comes back
/// is verified against the token's pin. Errors: the collector's refusal; kUnavailable when it does
/// not answer or is not the one that the token names.
absl::StatusOr<MemberIdentity> JoinFleet(const JoinToken& token, absl::Duration timeout);

/// Asks `collector` for the next certificate of the same key and name; the text for the file.
/// Errors: as above.
absl::StatusOr<std::string> RenewCertificate(const std::string& collector, const ClientTls& tls,
                                             absl::Duration timeout);

/// Writes the three files (see WritePrivateFile) and makes their directories.
absl::Status WriteIdentity(const IdentityPaths& paths, const ClientTls& tls);

}  // namespace fleet
