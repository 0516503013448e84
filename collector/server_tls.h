#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "collector/config.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/x509.h"
#include "common/x509_issue.h"

namespace fleet::collector {

/// The collector's own certificate, what it believes and what it signs with, as they are now: files
/// that change are taken over while everything runs, and with an issuer the own certificate is made
/// anew before it ends. Thread-safe.
class ServerTls {
 public:
  /// One state of all of it; never changes.
  struct Current {
    std::string chain;  // what the server presents, from its certificate to the root
    std::string key;
    std::string ca;    // every root that is believed in
    std::string root;  // that the own chain ends at; what new members are told to believe in
    CertificateFacts own;
    std::string root_fingerprint;
    std::optional<TrustAnchors> anchors;
    std::optional<Issuer> issuer;
    std::string issuer_serial;  // empty: no issuer
    // When the issuing CA or the root ends, the first of both; with it all that they made.
    absl::Time issuer_end = absl::InfiniteFuture();
    bool root_ends_first = false;  // then another issuing CA does not help
  };

  /// Errors: kFailedPrecondition when the texts cannot be used: no key pair, or the certificate is
  /// no collector's of this CA. One that has ended is an error in the log (or, with an issuer,
  /// renewed).
  static absl::StatusOr<std::unique_ptr<ServerTls>> Make(const TrustOptions& options, Clock& clock);

  std::shared_ptr<const Current> current() const;

  /// Looks at the files again, and at the date. Returns whether something new is in force. What is
  /// wrong is logged once, and the old goes on.
  bool Refresh();

 private:
  ServerTls(const TrustOptions& options, Clock& clock) : options_(options), clock_(clock) {}

  absl::Status Take(const TlsTexts& texts, const std::optional<Issuer>& issuer);
  std::string Stamp() const;
  absl::Status Reload();
  absl::Status RenewOwn();

  const TrustOptions options_;
  Clock& clock_;
  std::string stamp_;    // of the files that were read
  std::string trouble_;  // what was logged last
  mutable Mutex mutex_;
  std::shared_ptr<const Current> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
