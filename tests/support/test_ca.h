#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/x509_issue.h"

namespace fleet::test {

/// The PEM texts of one end of TLS.
struct TlsIdentity {
  std::string ca;
  std::string cert;  // with what leads to the root
  std::string key;
};

/// A certificate authority as `fleetctl ca init` makes it, in memory: a root that signed one
/// issuing CA, which signs everybody else.
class TestCa {
 public:
  /// What it signs is valid around `now`.
  explicit TestCa(absl::Time now = absl::Now());

  /// A certificate from `begin` to `end` after now.
  TlsIdentity Issue(Role role, absl::string_view name, absl::Duration begin = -absl::Hours(48),
                    absl::Duration end = absl::Hours(24 * 30)) const;
  /// What Issue would certify, for a test that bends it.
  CertificateSpec Spec(Role role, absl::string_view name) const;
  /// A certificate by `spec`, signed by `issuer`, with `chain` behind it.
  TlsIdentity IssueAs(const CertificateSpec& spec, const Issuer& issuer,
                      absl::string_view chain) const;

  /// The root, which is all that its members believe in.
  const std::string& ca() const { return root_.certificate_pem; }
  const Issuer& root() const { return root_; }
  const Issuer& issuing() const { return issuing_; }

 private:
  const absl::Time now_;
  Issuer root_;
  Issuer issuing_;
};

}  // namespace fleet::test
