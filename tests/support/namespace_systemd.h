#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// A real systemd: the first process of namespaces and control groups of its own, with no
/// connection to the machine's own systemd, if it has one. Killed with all that it started.
class NamespaceSystemd {
 public:
  struct Options {
    /// Texts by path below the unit directory ("good.service", "x.service.d/y.conf"). The default
    /// target is "fleet.target".
    std::map<std::string, std::string> units;
    /// Shell lines that run, in the namespaces and as root, before systemd starts.
    std::string setup;
  };

  /// What this machine lacks to run it; empty when nothing.
  static std::string Missing();

  explicit NamespaceSystemd(const Options& options);
  ~NamespaceSystemd();
  NamespaceSystemd(const NamespaceSystemd&) = delete;
  NamespaceSystemd& operator=(const NamespaceSystemd&) = delete;

  /// Its root as seen from here, once it has started its units; empty when it cannot run here.
  std::string Root();
  std::string Log() const { return ReadFile(log_dir_ / "log"); }
  /// Runs systemctl inside.
  Output Control(std::vector<std::string> arguments) const;
  /// Runs a program inside its mount, process and network namespaces.
  Output RunInside(std::vector<std::string> argv) const;
  pid_t pid() const { return pid_; }

  /// Runs `body` in a child within its process namespace: systemd's own socket takes nobody whose
  /// process it cannot see. Returns whether no expectation failed there.
  /// `outside` runs here meanwhile.
  bool Inside(
      const std::function<void()>& body, const std::function<void()>& outside = [] {}) const;

 private:
  static inline int count_ = 0;
  const std::string group_;
  TempDir units_;
  TempDir log_dir_;
  std::unique_ptr<Process> process_;
  pid_t pid_ = 0;
};

/// The units that the tests of the systemd check look at: one that runs, one that failed, one that
/// dies again and again, one that was never started.
std::map<std::string, std::string> SampleUnits();

}  // namespace fleet::test
