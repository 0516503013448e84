#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

/// Certificates, as far as fleet needs them: with common/x509_issue.h the one door to OpenSSL's
/// X.509. Everything that is handed in or out is text in PEM.
namespace fleet {

/// What a certificate lets its holder be. It stands in the certificate with the holder's name, as
/// the URI "fleet:ROLE:NAME" among the subject's alternative names.
enum class Role { kAgent, kCollector, kAdmin };

/// "agent", "collector", "admin".
absl::string_view RoleName(Role role);
/// The inverse of RoleName; nothing for any other text.
std::optional<Role> ParseRole(absl::string_view text);

/// What one certificate says. Nothing of it is verified.
struct CertificateFacts {
  std::string serial;       // lower-case hexadecimal
  std::string fingerprint;  // SHA-256 of the whole certificate, lower-case hexadecimal
  std::string common_name;
  absl::Time not_before;
  absl::Time not_after;
  bool is_ca = false;
  /// Without one, `role_problem` says why.
  std::optional<Role> role;
  std::string name;
  std::string role_problem;
  bool operator==(const CertificateFacts&) const = default;
};

/// Reads the first certificate of `pem`.
/// Errors: kInvalidArgument for anything else.
absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem);

/// As ReadCertificate, but it ends when the first certificate of `pem` does: nobody believes it
/// longer than the CAs that come along.
absl::StatusOr<CertificateFacts> ReadChain(absl::string_view pem);

/// Whether `pem` holds a private key that belongs to the first certificate of `certificate_pem`.
/// Errors: kInvalidArgument, naming what is not readable or that they do not belong together.
absl::Status CheckKeyPair(absl::string_view certificate_pem, absl::string_view key_pem);

/// Why a certificate is not believed, worst first: an earlier one hides the later.
enum class Distrust {
  kNone,
  kNoCertificate,
  kMalformed,
  kUnknownCa,
  kExpired,
  kNotYetValid,
  kRevoked,
  kWrongRole,
};
/// "no_certificate", "malformed", "unknown_ca", "expired", "not_yet_valid", "revoked",
/// "wrong_role": the `reason` of counters and events. Empty for kNone.
absl::string_view DistrustName(Distrust distrust);

/// What the verification of a certificate found.
struct PeerCheck {
  Distrust distrust = Distrust::kNone;
  std::string text;        // for people, when there is distrust
  CertificateFacts facts;  // as far as it could be read
  // Of the chain, the certificate first and the root last; empty without one.
  std::vector<std::string> serials;
  std::string root_fingerprint;                   // as CertificateFacts has it
  absl::Time not_before = absl::InfinitePast();   // when the last link begins
  absl::Time not_after = absl::InfiniteFuture();  // and the first one ends
  bool ok() const { return distrust == Distrust::kNone; }
};

/// The roots we believe in, parsed once. Immutable, cheap to copy, thread-safe.
class TrustAnchors {
 public:
  /// Every certificate of `roots_pem` is believed. Those of `issuers_pem` (may be empty) only help
  /// to build chains, as a peer's own intermediates do.
  /// Errors: kInvalidArgument without any root.
  static absl::StatusOr<TrustAnchors> Parse(absl::string_view roots_pem,
                                            absl::string_view issuers_pem);

  /// Verifies the certificate `leaf_pem` with the help of what came along in `chain_pem`: a chain
  /// to a root, its signatures, the dates of each link at `now`, and that it names a role and a
  /// name. Finds anything but kRevoked and, with a role, kWrongRole, which are the caller's to
  /// judge.
  PeerCheck Verify(absl::string_view leaf_pem, absl::string_view chain_pem, absl::Time now) const;

  /// As Verify, and the role must be `role`.
  PeerCheck VerifyRole(absl::string_view leaf_pem, absl::string_view chain_pem, absl::Time now,
                       Role role) const;

 private:
  struct Store;
  explicit TrustAnchors(std::shared_ptr<const Store> store) : store_(std::move(store)) {}
  std::shared_ptr<const Store> store_;
};

/// A certificate begins so long before it is made, for hosts whose clock is behind.
inline constexpr absl::Duration kBackdate = absl::Hours(48);
/// When to ask for the next one: at two thirds of the life since it was made, give or take a
/// twentieth as `jitter` (0..1) says, so that a fleet does not renew at once.
absl::Time RenewalTime(const CertificateFacts& facts, double jitter);

/// The certificate among `chain_pem` whose fingerprint is `fingerprint`, in PEM.
/// Errors: kNotFound; kInvalidArgument for what is no PEM.
absl::StatusOr<std::string> FindCertificate(absl::string_view chain_pem,
                                            absl::string_view fingerprint);

}  // namespace fleet
