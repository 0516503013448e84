#include "common/x509.h"

#include <openssl/x509_vfy.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/host_name.h"
#include "common/status_macros.h"
#include "common/x509_internal.h"

namespace fleet {
namespace x509 {

absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(absl::string_view pem) {
  if (pem.size() > kPemBytesMax) return absl::InvalidArgumentError("a certificate file too long");
  const BioPtr bio = ReadBio(pem);
  std::vector<X509Ptr> certificates;
  while (certificates.size() <= kChainMax) {
    X509Ptr certificate(::PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
    if (certificate == nullptr) break;
    certificates.push_back(std::move(certificate));
  }
  // The end of the text is an error of its own kind.
  const unsigned long code = ::ERR_peek_last_error();  // NOLINT(google-runtime-int): its type
  const bool at_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (certificates.size() > kChainMax) return absl::InvalidArgumentError("too many certificates");
  if (!at_end) return OpenSslError("a damaged certificate");
  ::ERR_clear_error();
  if (certificates.empty()) return absl::InvalidArgumentError("no certificate");
  return certificates;
}

absl::StatusOr<KeyPtr> ReadKey(absl::string_view pem) {
  if (pem.size() > kPemBytesMax) return absl::InvalidArgumentError("a key file too long");
  const BioPtr bio = ReadBio(pem);
  KeyPtr key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return OpenSslError("no private key without a passphrase");
  return key;
}

std::string WriteCertificate(X509* certificate) {
  const BioPtr bio(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_X509(bio.get(), certificate);
  return BioText(bio.get());
}

std::string Fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ::X509_digest(certificate, ::EVP_sha256(), digest, &size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

namespace {

absl::Time ToTime(const ASN1_TIME* time) {
  tm parts = {};
  if (time == nullptr || ::ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string SerialOf(X509* certificate) {
  const ASN1_INTEGER* serial = ::X509_get0_serialNumber(certificate);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(serial)),
                        static_cast<size_t>(::ASN1_STRING_length(serial))));
}

std::string CommonNameOf(X509* certificate) {
  const X509_NAME* subject = ::X509_get_subject_name(certificate);
  const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* text = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at));
  unsigned char* utf8 = nullptr;
  const int size = ::ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return {};
  std::string name =
      OneLine(absl::string_view(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size)));
  OPENSSL_free(utf8);
  return name;
}

/// Every URI among the alternative names that starts with "fleet:".
std::vector<std::string> FleetUris(X509* certificate) {
  std::vector<std::string> uris;
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES, FreeNames>> names(
      static_cast<GENERAL_NAMES*>(
          ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    // By its length: a zero byte must not end it early.
    const absl::string_view uri(
        reinterpret_cast<const char*>(::ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
        static_cast<size_t>(::ASN1_STRING_length(name->d.uniformResourceIdentifier)));
    if (absl::StartsWithIgnoreCase(uri, "fleet:")) uris.emplace_back(uri);
  }
  ::ERR_clear_error();
  return uris;
}

void ReadRole(X509* certificate, CertificateFacts& facts) {
  const std::vector<std::string> uris = FleetUris(certificate);
  if (uris.empty()) {
    facts.role_problem = "it names no role (a URI fleet:ROLE:NAME)";
    return;
  }
  const std::vector<absl::string_view> parts =
      absl::StrSplit(uris.front(), absl::MaxSplits(':', 2));
  const std::optional<Role> role =
      parts.size() == 3 && parts[0] == "fleet" ? ParseRole(parts[1]) : std::nullopt;
  if (uris.size() > 1) {
    facts.role_problem = "it names several roles";
  } else if (!role.has_value() || !IsHostName(parts[2])) {
    facts.role_problem =
        absl::StrCat("it names ", Quote(uris.front()), ", which is no fleet:ROLE:NAME");
  } else {
    facts.role = role;
    facts.name = std::string(parts[2]);
  }
}

}  // namespace
}  // namespace x509

namespace {

using x509::ReadCertificates;
using x509::X509Ptr;

/// root, issuing, leaf; one more for a root that another root vouches for.
constexpr int kDepthMax = 4;
/// 112 bits: P-256, RSA from 2048 bits; SHA-2.
constexpr int kSecurityLevel = 2;

CertificateFacts FactsOf(X509* certificate) {
  CertificateFacts facts;
  facts.serial = x509::SerialOf(certificate);
  facts.fingerprint = x509::Fingerprint(certificate);
  facts.common_name = x509::CommonNameOf(certificate);
  facts.not_before = x509::ToTime(::X509_get0_notBefore(certificate));
  facts.not_after = x509::ToTime(::X509_get0_notAfter(certificate));
  facts.is_ca = ::X509_check_ca(certificate) == 1;
  x509::ReadRole(certificate, facts);
  return facts;
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
}

PeerCheck& Distrusted(PeerCheck& check, Distrust distrust, std::string text) {
  check.distrust = distrust;
  check.text = std::move(text);
  return check;
}

/// The dates of one link, the leaf or the one at `depth` above it.
bool CheckDates(X509* certificate, int depth, absl::Time now, PeerCheck& check) {
  const absl::Time begin = x509::ToTime(::X509_get0_notBefore(certificate));
  const absl::Time end = x509::ToTime(::X509_get0_notAfter(certificate));
  const absl::string_view what = depth == 0 ? "the certificate" : "the certificate of its CA";
  check.not_before = std::max(check.not_before, begin);
  check.not_after = std::min(check.not_after, end);
  check.serials.push_back(x509::SerialOf(certificate));
  if (now > end) {
    Distrusted(check, Distrust::kExpired, absl::StrCat(what, " ended on ", Date(end)));
    return false;
  }
  if (now < begin) {
    Distrusted(check, Distrust::kNotYetValid,
               absl::StrCat(what, " begins on ", Date(begin), ", and now is ", Date(now)));
    return false;
  }
  return true;
}

/// Whether the key may be used as the role needs it.
bool FitsRole(X509* certificate, Role role) {
  const int purpose = role == Role::kCollector ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  return ::X509_check_purpose(certificate, purpose, 0) == 1;
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kAgent:
      return "agent";
    case Role::kCollector:
      return "collector";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

std::optional<Role> ParseRole(absl::string_view text) {
  for (const Role role : {Role::kAgent, Role::kCollector, Role::kAdmin}) {
    if (text == RoleName(role)) return role;
  }
  return std::nullopt;
}

absl::string_view DistrustName(Distrust distrust) {
  switch (distrust) {
    case Distrust::kNone:
      return "";
    case Distrust::kNoCertificate:
      return "no_certificate";
    case Distrust::kMalformed:
      return "malformed";
    case Distrust::kUnknownCa:
      return "unknown_ca";
    case Distrust::kExpired:
      return "expired";
    case Distrust::kNotYetValid:
      return "not_yet_valid";
    case Distrust::kRevoked:
      return "revoked";
    case Distrust::kWrongRole:
      return "wrong_role";
  }
  return "";
}

absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem) {
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates, ReadCertificates(pem));
  return FactsOf(certificates.front().get());
}

absl::StatusOr<CertificateFacts> ReadChain(absl::string_view pem) {
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates, ReadCertificates(pem));
  CertificateFacts facts = FactsOf(certificates.front().get());
  for (const X509Ptr& link : certificates) {
    facts.not_after = std::min(facts.not_after, x509::ToTime(::X509_get0_notAfter(link.get())));
  }
  return facts;
}

absl::Status CheckKeyPair(absl::string_view certificate_pem, absl::string_view key_pem) {
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates,
                         ReadCertificates(certificate_pem));
  FLEET_ASSIGN_OR_RETURN(const x509::KeyPtr key, x509::ReadKey(key_pem));
  const bool fits = ::X509_check_private_key(certificates.front().get(), key.get()) == 1;
  ::ERR_clear_error();
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError("the certificate and the key do not belong together");
}

absl::Time RenewalTime(const CertificateFacts& facts, double jitter) {
  const absl::Time made =
      std::min(facts.not_before + kBackdate, std::max(facts.not_before, facts.not_after));
  // Nobody's who does not date back.
  const absl::Time begin = made >= facts.not_after ? facts.not_before : made;
  return begin + (facts.not_after - begin) * (2.0 / 3 + (jitter - 0.5) / 10);
}

absl::StatusOr<std::string> FindCertificate(absl::string_view chain_pem,
                                            absl::string_view fingerprint) {
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates, ReadCertificates(chain_pem));
  for (const X509Ptr& certificate : certificates) {
    if (x509::Fingerprint(certificate.get()) != fingerprint) continue;
    return x509::WriteCertificate(certificate.get());
  }
  return absl::NotFoundError("no certificate with this fingerprint");
}

// ---- verification ---------------------------------------------------------------------------

struct TrustAnchors::Store {
  X509_STORE* const store = ::X509_STORE_new();
  std::vector<X509Ptr> issuers;
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store() { ::X509_STORE_free(store); }
};

absl::StatusOr<TrustAnchors> TrustAnchors::Parse(absl::string_view roots_pem,
                                                 absl::string_view issuers_pem) {
  auto store = std::make_shared<Store>();
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> roots, ReadCertificates(roots_pem));
  for (const X509Ptr& root : roots) ::X509_STORE_add_cert(store->store, root.get());
  if (!issuers_pem.empty()) {
    FLEET_ASSIGN_OR_RETURN(store->issuers, ReadCertificates(issuers_pem));
  }
  return TrustAnchors(std::move(store));
}

PeerCheck TrustAnchors::Verify(absl::string_view leaf_pem, absl::string_view chain_pem,
                               absl::Time now) const {
  PeerCheck check;
  if (leaf_pem.empty()) {
    return Distrusted(check, Distrust::kNoCertificate, "there is no certificate");
  }
  absl::StatusOr<std::vector<X509Ptr>> leaf = ReadCertificates(leaf_pem);
  if (!leaf.ok()) {
    return Distrusted(check, Distrust::kMalformed, std::string(leaf.status().message()));
  }
  X509* const certificate = leaf->front().get();
  check.facts = FactsOf(certificate);
  // What came along may be nonsense: then the chain is built without it.
  absl::StatusOr<std::vector<X509Ptr>> chain = ReadCertificates(chain_pem);
  const x509::StackPtr helpers(sk_X509_new_null());
  for (const X509Ptr& issuer : store_->issuers) sk_X509_push(helpers.get(), issuer.get());
  if (chain.ok()) {
    for (const X509Ptr& link : *chain) sk_X509_push(helpers.get(), link.get());
  }
  const std::unique_ptr<X509_STORE_CTX, x509::Freed<X509_STORE_CTX, X509_STORE_CTX_free>> context(
      ::X509_STORE_CTX_new());
  ::X509_STORE_CTX_init(context.get(), store_->store, certificate, helpers.get());
  X509_VERIFY_PARAM* const parameters = ::X509_STORE_CTX_get0_param(context.get());
  // The dates are judged below, by the clock that we are given.
  ::X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  ::X509_VERIFY_PARAM_set_depth(parameters, kDepthMax);
  ::X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  const bool built = ::X509_verify_cert(context.get()) == 1;
  const int error = ::X509_STORE_CTX_get_error(context.get());
  ::ERR_clear_error();
  if (!built || error != X509_V_OK) {
    return Distrusted(
        check, Distrust::kUnknownCa,
        absl::StrCat("no chain to a CA that we know: ", ::X509_verify_cert_error_string(error)));
  }
  STACK_OF(X509)* const links = ::X509_STORE_CTX_get0_chain(context.get());
  for (int depth = 0; depth < sk_X509_num(links); ++depth) {
    if (!CheckDates(sk_X509_value(links, depth), depth, now, check)) return check;
  }
  check.root_fingerprint = x509::Fingerprint(sk_X509_value(links, sk_X509_num(links) - 1));
  if (!check.facts.role.has_value()) {
    return Distrusted(
        check, Distrust::kMalformed,
        absl::StrCat("the certificate is none of fleet's: ", check.facts.role_problem));
  }
  if (check.facts.is_ca || !FitsRole(certificate, *check.facts.role)) {
    return Distrusted(
        check, Distrust::kWrongRole,
        absl::StrCat("the certificate's key may not be used as ", RoleName(*check.facts.role)));
  }
  return check;
}

PeerCheck TrustAnchors::VerifyRole(absl::string_view leaf_pem, absl::string_view chain_pem,
                                   absl::Time now, Role role) const {
  PeerCheck check = Verify(leaf_pem, chain_pem, now);
  if (!check.ok() || check.facts.role == role) return check;
  return Distrusted(
      check, Distrust::kWrongRole,
      absl::StrCat("the certificate is ", RoleName(*check.facts.role), " ", check.facts.name,
                   "'s, where the role ", RoleName(role), " is needed"));
}

}  // namespace fleet
