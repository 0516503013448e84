#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// Debian's nginx in the foreground, with directories of its own, for as long as it lives.
class Nginx {
 public:
  /// `servers` is what stands in http {}. Waits until it listens on `port` of 127.0.0.1.
  Nginx(absl::string_view servers, uint16_t port);

  /// What it complained about.
  std::string Log() const { return ReadFile(dir_ / "log"); }
  Process& process() { return *process_; }

 private:
  TempDir dir_;
  std::unique_ptr<Process> process_;
};

}  // namespace fleet::test
