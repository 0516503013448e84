#include "common/x509_issue.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/host_name.h"
#include "common/status_macros.h"
#include "common/x509_internal.h"

namespace fleet {
namespace {

using x509::KeyPtr;
using x509::OpenSslError;
using x509::X509Ptr;

constexpr size_t kSerialBytes = 16;

bool IsUsable(EVP_PKEY* key) {
  switch (::EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
      return ::EVP_PKEY_get_bits(key) == 256 || ::EVP_PKEY_get_bits(key) == 384;
    case EVP_PKEY_ED25519:
      return true;
    case EVP_PKEY_RSA:
      return ::EVP_PKEY_get_bits(key) >= 2048 && ::EVP_PKEY_get_bits(key) <= 8192;
    default:
      return false;
  }
}

absl::StatusOr<std::string> ToDer(EVP_PKEY* key) {
  if (key == nullptr) return OpenSslError("no public key");
  if (!IsUsable(key)) {
    return absl::InvalidArgumentError(
        "expected a key of EC P-256 or P-384, Ed25519, or RSA from 2048 bits");
  }
  unsigned char* der = nullptr;
  const int size = ::i2d_PUBKEY(key, &der);
  if (size <= 0) return OpenSslError("the public key");
  std::string text(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool SetName(X509_NAME* name, absl::string_view common_name) {
  return ::X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(common_name.data()),
                                      static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool SetTime(ASN1_TIME* out, absl::Time time) {
  return ::ASN1_TIME_adj(out, absl::ToTimeT(time), 0, 0) != nullptr;
}

/// Adds an extension as the openssl program's configuration would spell it. `value` is ours, never
/// text from outside: names are checked by IsHostName before.
bool AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) return false;
  const bool added = ::X509_add_ext(certificate, extension, -1) == 1;
  ::X509_EXTENSION_free(extension);
  return added;
}

bool AddExtensions(X509* certificate, X509* issuer, const CertificateSpec& spec) {
  bool done = true;
  if (spec.ca_path_length.has_value()) {
    done &= AddExtension(certificate, issuer, NID_basic_constraints,
                         absl::StrCat("critical,CA:TRUE,pathlen:", *spec.ca_path_length));
    done &= AddExtension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    done &= AddExtension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
    done &= AddExtension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
    done &= AddExtension(certificate, issuer, NID_ext_key_usage,
                         spec.role == Role::kCollector ? "serverAuth" : "clientAuth");
    done &= AddExtension(certificate, issuer, NID_subject_alt_name,
                         absl::StrCat("URI:fleet:", RoleName(*spec.role), ":", spec.name));
  }
  done &= AddExtension(certificate, issuer, NID_subject_key_identifier, "hash");
  // Of the issuer: it must have its own by now.
  done &= AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  return done;
}

absl::StatusOr<std::string> Sign(EVP_PKEY* subject_key, const CertificateSpec& spec, X509* issuer,
                                 EVP_PKEY* issuer_key) {
  const X509Ptr certificate(::X509_new());
  std::string serial = SecureRandom(kSerialBytes);
  serial[0] = static_cast<char>((serial[0] & 0x3F) | 0x40);  // positive, and always as long
  bool done = ::X509_set_version(certificate.get(), X509_VERSION_3) == 1;
  done &= ::ASN1_STRING_set(::X509_get_serialNumber(certificate.get()), serial.data(),
                            static_cast<int>(serial.size())) == 1;
  done &= SetName(::X509_get_subject_name(certificate.get()), spec.common_name);
  X509* const signer = issuer == nullptr ? certificate.get() : issuer;
  done &= ::X509_set_issuer_name(certificate.get(), ::X509_get_subject_name(signer)) == 1;
  done &= SetTime(::X509_getm_notBefore(certificate.get()), spec.not_before);
  done &= SetTime(::X509_getm_notAfter(certificate.get()), spec.not_after);
  done &= ::X509_set_pubkey(certificate.get(), subject_key) == 1;
  done &= AddExtensions(certificate.get(), signer, spec);
  // Ed25519 brings its own digest.
  const EVP_MD* digest =
      ::EVP_PKEY_get_base_id(issuer_key) == EVP_PKEY_ED25519 ? nullptr : ::EVP_sha256();
  done = done && ::X509_sign(certificate.get(), issuer_key, digest) > 0;
  if (!done) return OpenSslError("the certificate cannot be made");
  return x509::WriteCertificate(certificate.get());
}

}  // namespace

std::string MakeKey() {
  const KeyPtr key(::EVP_EC_gen("P-256"));
  const x509::BioPtr bio(::BIO_new(::BIO_s_mem()));
  FLEET_ASSERT(key != nullptr && bio != nullptr);
  FLEET_ASSERT(::PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                               nullptr) == 1);
  return x509::BioText(bio.get());
}

absl::StatusOr<std::string> MakeRequest(absl::string_view key_pem, absl::string_view common_name) {
  FLEET_ASSIGN_OR_RETURN(const KeyPtr key, x509::ReadKey(key_pem));
  const x509::RequestPtr request(::X509_REQ_new());
  const bool made = SetName(::X509_REQ_get_subject_name(request.get()), common_name) &&
                    ::X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    ::X509_REQ_sign(request.get(), key.get(), ::EVP_sha256()) > 0;
  const x509::BioPtr bio(::BIO_new(::BIO_s_mem()));
  if (!made || ::PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return OpenSslError("the request cannot be made");
  }
  return x509::BioText(bio.get());
}

absl::StatusOr<std::string> PublicKeyOfRequest(absl::string_view request_pem) {
  if (request_pem.size() > x509::kPemBytesMax) {
    return absl::InvalidArgumentError("a request too long");
  }
  const x509::BioPtr bio = x509::ReadBio(request_pem);
  const x509::RequestPtr request(
      ::PEM_read_bio_X509_REQ(bio.get(), nullptr, x509::NoPassphrase, nullptr));
  if (request == nullptr) return OpenSslError("no certificate request");
  EVP_PKEY* const key = ::X509_REQ_get0_pubkey(request.get());
  FLEET_ASSIGN_OR_RETURN(std::string public_key, ToDer(key));
  if (::X509_REQ_verify(request.get(), key) != 1) {
    return OpenSslError("the request's signature does not hold");
  }
  return public_key;
}

absl::StatusOr<std::string> PublicKeyOfCertificate(absl::string_view certificate_pem) {
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates,
                         x509::ReadCertificates(certificate_pem));
  return ToDer(::X509_get0_pubkey(certificates.front().get()));
}

absl::StatusOr<std::string> PublicKeyOfKey(absl::string_view key_pem) {
  FLEET_ASSIGN_OR_RETURN(const KeyPtr key, x509::ReadKey(key_pem));
  return ToDer(key.get());
}

absl::Status CheckMemberName(absl::string_view name) {
  if (!IsHostName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(name), " is no name: letters, digits, '-', '_' and '.'"));
  }
  if (name.size() <= kMemberNameBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      Quote(name), " is too long for a certificate: at most ", kMemberNameBytesMax, " bytes"));
}

absl::StatusOr<std::string> IssueCertificate(absl::string_view public_key,
                                             const CertificateSpec& spec, const Issuer& issuer) {
  FLEET_ASSERT(spec.role.has_value() != spec.ca_path_length.has_value());
  FLEET_RETURN_IF_ERROR(CheckKeyPair(issuer.certificate_pem, issuer.key_pem));
  FLEET_ASSIGN_OR_RETURN(const std::vector<X509Ptr> certificates,
                         x509::ReadCertificates(issuer.certificate_pem));
  FLEET_ASSIGN_OR_RETURN(const KeyPtr issuer_key, x509::ReadKey(issuer.key_pem));
  const auto* der = reinterpret_cast<const unsigned char*>(public_key.data());
  const KeyPtr key(
      ::d2i_PUBKEY(nullptr, &der, static_cast<long>(public_key.size())));  // NOLINT: its type
  if (key == nullptr) return OpenSslError("no public key");
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts by, ReadCertificate(issuer.certificate_pem));
  CertificateSpec within = spec;
  within.not_after = std::min(spec.not_after, by.not_after);
  return Sign(key.get(), within, certificates.front().get(), issuer_key.get());
}

absl::StatusOr<std::string> IssueRoot(absl::string_view key_pem, const CertificateSpec& spec) {
  FLEET_ASSERT(spec.ca_path_length.has_value());
  FLEET_ASSIGN_OR_RETURN(const KeyPtr key, x509::ReadKey(key_pem));
  return Sign(key.get(), spec, nullptr, key.get());
}

std::string SecureRandom(size_t count) {
  std::string bytes(count, '\0');
  FLEET_ASSERT(
      ::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

std::string Sha256(absl::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace fleet
