#pragma once

#include <openssl/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/probe/probe.h"

/// What TLS shows of a server. Beside common/x509.h, which knows fleet's own certificates, the door
/// to OpenSSL's X.509; used for libcurl's connections and for our own.
namespace fleet::probe {

/// The chain of a server, as blackbox_exporter shows it.
struct ChainSamples {
  std::string subject;  // "CN=tempo,O=Chitter", as Go writes it
  std::string issuer;
  std::string alternative_names;             // DNS names only, with commas
  std::optional<absl::Time> verified_until;  // none: not verified
};

/// Looks at the certificates of one handshake and decides whether it goes on.
class TlsCapture {
 public:
  /// `name`: a host name or address that the certificate must be for. Unless `must_verify`, the
  /// handshake goes on with any certificate.
  TlsCapture(X509_STORE* roots, std::string name, bool must_verify)
      : roots_(roots), name_(std::move(name)), must_verify_(must_verify) {}

  /// Makes every handshake of `context` show its certificates to this.
  void Install(SSL_CTX* context);
  /// The same for one handshake of a context that others share.
  void Install(SSL* connection);

  bool seen() const { return seen_; }
  const TlsFacts& facts() const { return facts_; }
  const ChainSamples& samples() const { return samples_; }
  /// "certificate has expired": why the certificate is not believed; empty when it is.
  const std::string& verify_text() const { return facts_.verify_text; }

 private:
  friend class TlsRoots;

  static int OnVerify(X509_STORE_CTX* shown, void* self);
  static int OnVerifyShared(X509_STORE_CTX* shown, void*);
  int Verify(X509_STORE_CTX* shown);

  X509_STORE* const roots_;
  const std::string name_;
  const bool must_verify_;
  bool seen_ = false;
  TlsFacts facts_;
  ChainSamples samples_;
};

/// The roots that servers' certificates must lead to, read once and again when the file changes.
/// Used by one thread.
class TlsRoots {
 public:
  TlsRoots();
  ~TlsRoots();
  TlsRoots(const TlsRoots&) = delete;
  TlsRoots& operator=(const TlsRoots&) = delete;

  /// Those of a PEM file; empty: the system's. They live as long as a connection uses them.
  /// Errors: kInvalidArgument for a file that cannot be read.
  absl::StatusOr<std::shared_ptr<X509_STORE>> Get(const std::string& ca_file);
  /// For connections of our own; each with a TlsCapture.
  SSL_CTX* client_context() { return client_context_; }

 private:
  struct Entry {
    std::shared_ptr<X509_STORE> store;
    int64_t written = 0;
  };
  std::map<std::string, Entry> stores_;
  SSL_CTX* client_context_;
};

/// Why a certificate's remaining life is a failure; empty: it is none.
std::string ExpiresTooSoon(const TlsFacts& facts, const TlsSpec& spec);
/// "TLS 1.3" of "TLSv1.3".
std::string TlsVersionText(absl::string_view openssl_version);
/// The newest error of OpenSSL in this thread, in words; forgets them all.
std::string TakeTlsError();

}  // namespace fleet::probe
