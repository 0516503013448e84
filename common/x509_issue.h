#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/x509.h"

/// Keys, requests and certificates of our own making. Keys are P-256; texts are PEM.
namespace fleet {

/// A new private key.
std::string MakeKey();

/// A request to certify `key_pem`. Its subject is for people: who signs decides what it says.
absl::StatusOr<std::string> MakeRequest(absl::string_view key_pem, absl::string_view common_name);

/// A public key (SubjectPublicKeyInfo in DER) and where it may come from: a request, whose own
/// signature proves that the key is the sender's; a certificate; a private key.
/// Errors: kInvalidArgument for what cannot be read, a signature that does not hold, or a key that
/// is neither EC P-256/P-384, Ed25519 nor RSA of 2048 to 8192 bits.
absl::StatusOr<std::string> PublicKeyOfRequest(absl::string_view request_pem);
absl::StatusOr<std::string> PublicKeyOfCertificate(absl::string_view certificate_pem);
absl::StatusOr<std::string> PublicKeyOfKey(absl::string_view key_pem);

/// What a new certificate says.
struct CertificateSpec {
  std::string common_name;
  absl::Time not_before;
  absl::Time not_after;
  /// Set for a CA: how many CAs may stand between it and a leaf.
  std::optional<int> ca_path_length;
  /// Set for everybody else, with `name`.
  std::optional<Role> role;
  std::string name;
};

/// What a common name holds (X.520's ub-common-name), and so the name of a member.
inline constexpr size_t kMemberNameBytesMax = 64;
/// Whether a certificate can be made for `name`. Errors: kInvalidArgument, naming what is wrong.
absl::Status CheckMemberName(absl::string_view name);

/// Who signs.
struct Issuer {
  std::string certificate_pem;
  std::string key_pem;
};

/// A certificate for `public_key`, with a random serial of 127 bits. It ends with its issuer at the
/// latest: what outlived it would be good for nothing. Without an `issuer` the key must be private
/// and signs itself: a root. Errors: kInvalidArgument for texts that cannot be used, or an issuer
/// whose key is not its own.
absl::StatusOr<std::string> IssueCertificate(absl::string_view public_key,
                                             const CertificateSpec& spec, const Issuer& issuer);
absl::StatusOr<std::string> IssueRoot(absl::string_view key_pem, const CertificateSpec& spec);

/// `count` random bytes that nobody can guess.
std::string SecureRandom(size_t count);
/// The SHA-256 of `bytes`, as bytes.
std::string Sha256(absl::string_view bytes);

}  // namespace fleet
