#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

/// The files of a fleet's CA. Everything happens on this machine; nobody is asked.
namespace fleet::ctl {

inline constexpr absl::Duration kRootLife = absl::Hours(24 * 365 * 20);
inline constexpr absl::Duration kIssuingLife = absl::Hours(24 * 365 * 5);
/// The collector renews its own, and fleetctl the admin's, each with the collector's issuing key.
inline constexpr absl::Duration kMemberLife = absl::Hours(24 * 365);

/// A CA's directory: root/ (may be kept offline), collector/ and admin/, each with what belongs
/// together.
struct CaLayout {
  explicit CaLayout(const std::string& directory);
  std::string root_cert, root_key;
  std::string collector;  // a directory: ca.pem, cert.pem, key.pem, issuer.pem, issuer.key
  std::string admin;      // a directory: ca.pem, cert.pem, key.pem
};

/// Makes all of it. Errors: kFailedPrecondition where there is a CA already; by errno.
absl::Status InitCa(const std::string& directory, absl::string_view collector_name,
                    absl::string_view admin_name, absl::Time now);

/// Makes a new issuing CA and a new certificate of the collector, into collector/, with the root of
/// root/. Returns the serial of the issuing CA that was there before; empty: none was.
absl::StatusOr<std::string> NewIssuing(const std::string& directory,
                                       absl::string_view collector_name, absl::Time now);

/// Makes a new admin, without asking the collector, by the issuing CA in the directory `issuer` (a
/// copy of collector/, or the collector's own), into the directory `out`. Returns its serial.
absl::StatusOr<std::string> NewAdmin(const std::string& issuer, const std::string& out,
                                     absl::string_view name, absl::Time now);

}  // namespace fleet::ctl
