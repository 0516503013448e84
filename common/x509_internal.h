#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

/// What x509.cc and x509_issue.cc share of OpenSSL; nobody else includes this.
namespace fleet::x509 {

template <typename T, void (*Free)(T*)>
struct Freed {
  void operator()(T* pointer) const { Free(pointer); }
};
inline void FreeBio(BIO* bio) { ::BIO_free_all(bio); }
inline void FreeNames(GENERAL_NAMES* names) { ::GENERAL_NAMES_free(names); }
inline void FreeStack(STACK_OF(X509) * stack) { sk_X509_free(stack); }

using BioPtr = std::unique_ptr<BIO, Freed<BIO, FreeBio>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509, X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freed<X509_REQ, X509_REQ_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using StackPtr = std::unique_ptr<STACK_OF(X509), Freed<STACK_OF(X509), FreeStack>>;

/// PEM texts longer than this are no certificates of ours.
inline constexpr size_t kPemBytesMax = 64 << 10;
/// Certificates read from one text.
inline constexpr size_t kChainMax = 16;

/// `message` with the newest of OpenSSL's errors, which are cleared.
inline absl::Status OpenSslError(absl::string_view message) {
  const unsigned long code = ::ERR_peek_last_error();  // NOLINT(google-runtime-int): its type
  ::ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return absl::InvalidArgumentError(reason == nullptr ? std::string(message)
                                                      : absl::StrCat(message, ": ", reason));
}

inline BioPtr ReadBio(absl::string_view text) {
  return BioPtr(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string BioText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT(google-runtime-int): its type
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

/// No key of ours has a passphrase: never ask a terminal for one.
inline int NoPassphrase(char*, int, int, void*) { return 0; }

/// Every certificate of a text, in order; at most kChainMax.
/// Errors: kInvalidArgument for a text without one, or with a damaged one.
absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(absl::string_view pem);
absl::StatusOr<KeyPtr> ReadKey(absl::string_view pem);
std::string WriteCertificate(X509* certificate);
std::string Fingerprint(X509* certificate);

}  // namespace fleet::x509
