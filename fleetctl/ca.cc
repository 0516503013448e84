#include "fleetctl/ca.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/private_file.h"
#include "common/secret.h"
#include "common/status_macros.h"
#include "common/x509.h"
#include "common/x509_issue.h"

namespace fleet::ctl {
namespace {

bool Exists(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0;
}

absl::StatusOr<Issuer> ReadIssuer(const std::string& cert, const std::string& key) {
  Issuer issuer;
  FLEET_ASSIGN_OR_RETURN(issuer.certificate_pem, ReadSecretFile(cert));
  FLEET_ASSIGN_OR_RETURN(issuer.key_pem, ReadSecretFile(key));
  issuer.certificate_pem += "\n";
  return issuer;
}

/// Writes ca.pem, cert.pem and key.pem of a new member into `directory`.
absl::StatusOr<std::string> MakeMember(const std::string& directory, Role role,
                                       absl::string_view name, const Issuer& issuer,
                                       absl::string_view root_pem, absl::Time now) {
  CertificateSpec spec;
  spec.common_name = spec.name = std::string(name);
  spec.role = role;
  spec.not_before = now - kBackdate;
  spec.not_after = now + kMemberLife;
  const std::string key = MakeKey();
  FLEET_ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOfKey(key));
  FLEET_ASSIGN_OR_RETURN(const std::string certificate, IssueCertificate(public_key, spec, issuer));
  FLEET_RETURN_IF_ERROR(MakePrivateDirectory(directory));
  FLEET_RETURN_IF_ERROR(WritePrivateFile(directory + "/ca.pem", root_pem));
  FLEET_RETURN_IF_ERROR(WritePrivateFile(directory + "/key.pem", key, FileKind::kKey));
  FLEET_RETURN_IF_ERROR(
      WritePrivateFile(directory + "/cert.pem", absl::StrCat(certificate, issuer.certificate_pem)));
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(certificate));
  return facts.serial;
}

/// The issuing CA and the collector's own certificate, into collector/.
absl::Status MakeCollector(const CaLayout& layout, const Issuer& root, absl::string_view name,
                           absl::Time now) {
  CertificateSpec spec;
  spec.common_name =
      absl::StrCat("fleet issuing CA, ", absl::FormatTime("%Y-%m-%d", now, absl::UTCTimeZone()));
  spec.ca_path_length = 0;
  spec.not_before = now - kBackdate;
  spec.not_after = now + kIssuingLife;
  Issuer issuing;
  issuing.key_pem = MakeKey();
  FLEET_ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOfKey(issuing.key_pem));
  FLEET_ASSIGN_OR_RETURN(issuing.certificate_pem, IssueCertificate(public_key, spec, root));
  FLEET_RETURN_IF_ERROR(MakePrivateDirectory(layout.collector));
  FLEET_RETURN_IF_ERROR(
      WritePrivateFile(layout.collector + "/issuer.key", issuing.key_pem, FileKind::kKey));
  FLEET_RETURN_IF_ERROR(
      WritePrivateFile(layout.collector + "/issuer.pem", issuing.certificate_pem));
  return MakeMember(layout.collector, Role::kCollector, name, issuing, root.certificate_pem, now)
      .status();
}

}  // namespace

CaLayout::CaLayout(const std::string& directory)
    : root_cert(directory + "/root/ca.pem"),
      root_key(directory + "/root/ca.key"),
      collector(directory + "/collector"),
      admin(directory + "/admin") {}

absl::Status InitCa(const std::string& directory, absl::string_view collector_name,
                    absl::string_view admin_name, absl::Time now) {
  FLEET_RETURN_IF_ERROR(CheckMemberName(collector_name));
  FLEET_RETURN_IF_ERROR(CheckMemberName(admin_name));
  const CaLayout layout(directory);
  if (Exists(layout.root_key) || Exists(layout.root_cert) || Exists(layout.collector)) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is a CA in ", directory, " already; name another directory by --dir"));
  }
  CertificateSpec spec;
  spec.common_name = "fleet root CA";
  spec.ca_path_length = 1;
  spec.not_before = now - kBackdate;
  spec.not_after = now + kRootLife;
  Issuer root;
  root.key_pem = MakeKey();
  FLEET_ASSIGN_OR_RETURN(root.certificate_pem, IssueRoot(root.key_pem, spec));
  FLEET_RETURN_IF_ERROR(MakePrivateDirectory(DirectoryOf(layout.root_key)));
  FLEET_RETURN_IF_ERROR(WritePrivateFile(layout.root_key, root.key_pem, FileKind::kKey));
  FLEET_RETURN_IF_ERROR(WritePrivateFile(layout.root_cert, root.certificate_pem));
  FLEET_RETURN_IF_ERROR(MakeCollector(layout, root, collector_name, now));
  return NewAdmin(layout.collector, layout.admin, admin_name, now).status();
}

absl::StatusOr<std::string> NewIssuing(const std::string& directory,
                                       absl::string_view collector_name, absl::Time now) {
  FLEET_RETURN_IF_ERROR(CheckMemberName(collector_name));
  const CaLayout layout(directory);
  FLEET_ASSIGN_OR_RETURN(const Issuer root, ReadIssuer(layout.root_cert, layout.root_key));
  std::string former;
  if (const auto pem = ReadSecretFile(layout.collector + "/issuer.pem"); pem.ok()) {
    FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(*pem));
    former = facts.serial;
  }
  FLEET_RETURN_IF_ERROR(MakeCollector(layout, root, collector_name, now));
  return former;
}

absl::StatusOr<std::string> NewAdmin(const std::string& issuer, const std::string& out,
                                     absl::string_view name, absl::Time now) {
  FLEET_RETURN_IF_ERROR(CheckMemberName(name));
  FLEET_ASSIGN_OR_RETURN(const Issuer issuing,
                         ReadIssuer(issuer + "/issuer.pem", issuer + "/issuer.key"));
  FLEET_ASSIGN_OR_RETURN(const std::string root, ReadSecretFile(issuer + "/ca.pem"));
  return MakeMember(out, Role::kAdmin, name, issuing, root + "\n", now);
}

}  // namespace fleet::ctl
