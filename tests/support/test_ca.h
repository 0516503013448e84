#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"

namespace fleet::test {

/// A certificate authority of the test's own, made by the openssl program in a temporary directory.
class TestCa {
 public:
  TestCa();

  /// A certificate for `common_name`, with `san` ("DNS:localhost,IP:127.0.0.1") or without; `days`
  /// may be negative: then it has expired.
  TlsIdentity Issue(absl::string_view common_name, absl::string_view san = "", int days = 30);
  const std::string& ca() const { return ca_; }

 private:
  TempDir dir_;
  std::string ca_;
  int issued_ = 0;
};

}  // namespace fleet::test
