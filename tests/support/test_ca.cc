#include "tests/support/test_ca.h"

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "tests/support/process.h"

namespace fleet::test {

TestCa::TestCa() {
  const Output made = Shell(absl::StrCat(
      "cd ", dir_.path(),
      " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
      "-subj '/CN=test fleet CA' -keyout ca.key -out ca.pem"));
  FLEET_ASSERT(made.exit_code == 0);
  ca_ = ReadFile(dir_ / "ca.pem");
}

TlsIdentity TestCa::Issue(absl::string_view common_name, absl::string_view san, int days) {
  const std::string name = absl::StrCat("c", ++issued_);
  WriteFile(dir_ / absl::StrCat(name, ".ext"), san.empty()
                                                   ? "basicConstraints=CA:FALSE\n"
                                                   : absl::StrCat("subjectAltName=", san, "\n"));
  const Output made = Shell(absl::StrCat(
      "cd ", dir_.path(),
      " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=", common_name,
      "' -keyout ", name, ".key -out ", name, ".csr && openssl x509 -req -in ", name,
      ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -days ", days, " -extfile ", name,
      ".ext -out ", name, ".pem"));
  FLEET_ASSERT(made.exit_code == 0);
  return {ca_, ReadFile(dir_ / absl::StrCat(name, ".pem")),
          ReadFile(dir_ / absl::StrCat(name, ".key"))};
}

}  // namespace fleet::test
