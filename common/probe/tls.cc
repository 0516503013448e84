#include "common/probe/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/escape.h"
#include "common/probe/distinguished_name.h"
#include "common/probe/resolver.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::probe {
namespace {

constexpr size_t kRootsMax = 64;        // files kept in memory
constexpr size_t kNamesBytesMax = 900;  // of the alternative names in a label

absl::Time ToTime(const ASN1_TIME* time) {
  tm parts = {};
  if (time == nullptr || ::ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::vector<std::string> DnsNames(X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(
      ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type != GEN_DNS) continue;
    names.emplace_back(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(name->d.dNSName)),
                       static_cast<size_t>(::ASN1_STRING_length(name->d.dNSName)));
  }
  ::GENERAL_NAMES_free(all);
  return names;
}

/// "SHA-256 with RSA encryption" of "sha256WithRSAEncryption", as updown words it.
std::string AlgorithmText(const X509* certificate) {
  const char* name = ::OBJ_nid2ln(::X509_get_signature_nid(certificate));
  const absl::string_view text = name == nullptr ? "unknown" : name;
  for (const char* size : {"224", "256", "384", "512", "1"}) {
    if (text == absl::StrCat("sha", size, "WithRSAEncryption")) {
      return absl::StrCat("SHA-", size, " with RSA encryption");
    }
  }
  return std::string(text);
}

ServerCertificate Describe(X509* certificate, const std::vector<std::string>& names) {
  ServerCertificate described;
  described.subject = NamePart(::X509_get_subject_name(certificate), NID_commonName);
  if (described.subject.empty() && !names.empty()) described.subject = names.front();
  const X509_NAME* issuer = ::X509_get_issuer_name(certificate);
  described.issuer = NamePart(issuer, NID_commonName);
  described.issuer_organization = NamePart(issuer, NID_organizationName);
  described.algorithm = AlgorithmText(certificate);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (::X509_digest(certificate, ::EVP_sha256(), digest, &size) == 1) {
    described.fingerprint =
        absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
  }
  described.not_before = ToTime(::X509_get0_notBefore(certificate));
  described.not_after = ToTime(::X509_get0_notAfter(certificate));
  return described;
}

absl::Time EarliestExpiry(const STACK_OF(X509) * chain) {
  absl::Time earliest = absl::InfiniteFuture();
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    earliest = std::min(earliest, ToTime(::X509_get0_notAfter(sk_X509_value(chain, i))));
  }
  return earliest;
}

}  // namespace

std::string TlsVersionText(absl::string_view openssl_version) {
  if (openssl_version == "TLSv1") return "TLS 1.0";
  return absl::StartsWith(openssl_version, "TLSv") ? absl::StrCat("TLS ", openssl_version.substr(4))
                                                   : std::string(openssl_version);
}

std::string ExpiresTooSoon(const TlsFacts& facts, const TlsSpec& spec) {
  if (spec.expires_within_fail <= absl::ZeroDuration()) return "";  // expired ones are not believed
  const absl::Duration left = facts.earliest_expiry - absl::Now();
  if (left >= spec.expires_within_fail) return "";
  if (left < absl::ZeroDuration()) return "TLS: certificate has expired";
  return absl::StrCat("TLS: certificate expires in ", HumanDuration(left));
}

std::string TakeTlsError() {
  const unsigned long code = ::ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return reason == nullptr ? "" : OneLine(reason);
}

void TlsCapture::Install(SSL_CTX* context) {
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_cert_verify_callback(context, &TlsCapture::OnVerify, this);
}

void TlsCapture::Install(SSL* connection) { SSL_set_app_data(connection, this); }

int TlsCapture::OnVerify(X509_STORE_CTX* shown, void* self) {
  return static_cast<TlsCapture*>(self)->Verify(shown);
}

int TlsCapture::OnVerifyShared(X509_STORE_CTX* shown, void*) {
  const auto* connection = static_cast<const SSL*>(
      ::X509_STORE_CTX_get_ex_data(shown, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  return static_cast<TlsCapture*>(SSL_get_app_data(connection))->Verify(shown);
}

int TlsCapture::Verify(X509_STORE_CTX* shown) {
  X509* leaf = ::X509_STORE_CTX_get0_cert(shown);
  if (leaf == nullptr) return 0;
  const auto* connection = static_cast<const SSL*>(
      ::X509_STORE_CTX_get_ex_data(shown, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  STACK_OF(X509)* sent = ::X509_STORE_CTX_get0_untrusted(shown);
  const std::vector<std::string> names = DnsNames(leaf);
  seen_ = true;
  facts_ = {};
  facts_.version = TlsVersionText(::SSL_get_version(connection));
  facts_.certificate = Describe(leaf, names);
  facts_.earliest_expiry = std::min(facts_.certificate.not_after, EarliestExpiry(sent));
  samples_ = {};
  samples_.subject = GoName(::X509_get_subject_name(leaf));
  samples_.issuer = GoName(::X509_get_issuer_name(leaf));
  samples_.alternative_names = absl::StrJoin(names, ",").substr(0, kNamesBytesMax);

  X509_STORE_CTX* judge = ::X509_STORE_CTX_new();
  FLEET_ASSERT(judge != nullptr);
  if (::X509_STORE_CTX_init(judge, roots_, leaf, sent) == 1) {
    ::X509_STORE_CTX_set_default(judge, "ssl_server");
    X509_VERIFY_PARAM* asked = ::X509_STORE_CTX_get0_param(judge);
    ::X509_VERIFY_PARAM_set_hostflags(asked, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (FamilyOf(name_) != IpFamily::kAny) {
      ::X509_VERIFY_PARAM_set1_ip_asc(asked, name_.c_str());
    } else {
      ::X509_VERIFY_PARAM_set1_host(asked, name_.data(), name_.size());
    }
    if (::X509_verify_cert(judge) == 1) {
      samples_.verified_until = EarliestExpiry(::X509_STORE_CTX_get0_chain(judge));
    } else {
      facts_.verify_error = ::X509_STORE_CTX_get_error(judge);
      if (facts_.verify_error == X509_V_OK) facts_.verify_error = X509_V_ERR_UNSPECIFIED;
      facts_.verify_text = ::X509_verify_cert_error_string(facts_.verify_error);
    }
  }
  ::X509_STORE_CTX_free(judge);
  ::X509_STORE_CTX_set_error(shown, must_verify_ ? facts_.verify_error : X509_V_OK);
  return facts_.verify_error == X509_V_OK || !must_verify_ ? 1 : 0;
}

TlsRoots::TlsRoots() : client_context_(::SSL_CTX_new(::TLS_client_method())) {
  FLEET_ASSERT(client_context_ != nullptr);
  ::SSL_CTX_set_verify(client_context_, SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_cert_verify_callback(client_context_, &TlsCapture::OnVerifyShared, nullptr);
}

TlsRoots::~TlsRoots() { ::SSL_CTX_free(client_context_); }

absl::StatusOr<std::shared_ptr<X509_STORE>> TlsRoots::Get(const std::string& ca_file) {
  int64_t written = 0;
  if (struct stat status = {}; !ca_file.empty() && ::stat(ca_file.c_str(), &status) == 0) {
    written = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  }
  const auto found = stores_.find(ca_file);
  if (found != stores_.end() && found->second.written == written) return found->second.store;
  const std::shared_ptr<X509_STORE> store(::X509_STORE_new(), &::X509_STORE_free);
  FLEET_ASSERT(store != nullptr);
  // The system's are a directory, of which only what a chain needs is read.
  const int read = ca_file.empty() ? ::X509_STORE_set_default_paths(store.get())
                                   : ::X509_STORE_load_file(store.get(), ca_file.c_str());
  ::ERR_clear_error();
  if (read != 1) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read the CA file ", Quote(ca_file)));
  }
  if (stores_.size() >= kRootsMax) stores_.clear();
  stores_[ca_file] = {store, written};
  return store;
}

}  // namespace fleet::probe
