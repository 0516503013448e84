#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/check.h"
#include "agent/host_fs.h"
#include "agent/options.h"

namespace fleet::agent {

/// What a check's factory may keep. Outlives every check.
struct CheckEnv {
  HostFs fs;
  CheckOptions options;
  /// Our own executable, for helper processes; empty under test unless set.
  std::string program;
  /// Where files written by our hooks are; empty: none.
  std::string data_dir;
};

/// One line of the table in checks.cc.
struct CheckSpec {
  absl::string_view name;
  /// Times `interval:` of the agent (default 10 s): a slow check runs every n-th time.
  int interval_multiple;
  absl::Duration deadline;  // of one run
  std::unique_ptr<Check> (*make)(const CheckEnv& env);
};

/// Every check, sorted by name.
absl::Span<const CheckSpec> AllChecks();

std::unique_ptr<Check> MakeDiskCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeClockCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeCpuCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeKernelCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeLoadCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeMemoryCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeMinioCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeNetworkCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeRaidCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeRedisCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeSidekiqCheck(const CheckEnv& env);
std::unique_ptr<Check> MakePostgresCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeTincCheck(const CheckEnv& env);
std::unique_ptr<Check> MakeSystemdCheck(const CheckEnv& env);

}  // namespace fleet::agent
