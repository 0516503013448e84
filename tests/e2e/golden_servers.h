#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace fleet::test {

/// One golden run of a check that asks a server or daemon.
struct ServerGolden {
  absl::string_view check;  // as agent/checks/checks.cc names it
  absl::string_view file;   // below tests/fixtures
  /// What this machine lacks for it; empty when nothing.
  std::string (*missing)();
  /// Runs the check; its lines without what differs from run to run.
  std::string (*run)();
};

/// All of them.
absl::Span<const ServerGolden> ServerGoldens();

}  // namespace fleet::test
