#include "tests/support/test_ca.h"

#include "common/status_macros.h"

namespace fleet::test {
namespace {

std::string Must(absl::StatusOr<std::string> text) {
  FLEET_ASSERT(text.ok());
  return *std::move(text);
}

}  // namespace

TestCa::TestCa(absl::Time now) : now_(now) {
  CertificateSpec spec;
  spec.not_before = now - absl::Hours(24 * 365);
  spec.not_after = now + absl::Hours(24 * 365 * 4);
  spec.common_name = "fleet test root";
  spec.ca_path_length = 1;
  root_.key_pem = MakeKey();
  root_.certificate_pem = Must(IssueRoot(root_.key_pem, spec));
  spec.not_after = now + absl::Hours(24 * 365);
  spec.common_name = "fleet test issuing CA";
  spec.ca_path_length = 0;
  issuing_.key_pem = MakeKey();
  issuing_.certificate_pem =
      Must(IssueCertificate(Must(PublicKeyOfKey(issuing_.key_pem)), spec, root_));
}

CertificateSpec TestCa::Spec(Role role, absl::string_view name) const {
  CertificateSpec spec;
  spec.common_name = std::string(name);
  spec.role = role;
  spec.name = std::string(name);
  spec.not_before = now_ - absl::Hours(48);
  spec.not_after = now_ + absl::Hours(24 * 30);
  return spec;
}

TlsIdentity TestCa::Issue(Role role, absl::string_view name, absl::Duration begin,
                          absl::Duration end) const {
  CertificateSpec spec = Spec(role, name);
  spec.not_before = now_ + begin;
  spec.not_after = now_ + end;
  return IssueAs(spec, issuing_, issuing_.certificate_pem);
}

TlsIdentity TestCa::IssueAs(const CertificateSpec& spec, const Issuer& issuer,
                            absl::string_view chain) const {
  TlsIdentity identity;
  identity.ca = ca();
  identity.key = MakeKey();
  identity.cert =
      absl::StrCat(Must(IssueCertificate(Must(PublicKeyOfKey(identity.key)), spec, issuer)), chain);
  return identity;
}

}  // namespace fleet::test
