#pragma once

#include <sys/timex.h>

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/checks/checks.h"

namespace fleet::agent {

/// What adjtimex(2) answers when asked to change nothing.
struct KernelClock {
  int state = TIME_OK;  // TIME_OK … TIME_ERROR
  struct timex timex = {};
};
using ReadKernelClock = std::function<absl::StatusOr<KernelClock>()>;

/// Asks this machine's kernel. Errors: kPermissionDenied under a filter of system calls.
absl::StatusOr<KernelClock> ReadThisKernelsClock();

/// As MakeClockCheck, with another source of adjtimex than the running kernel; null: none.
std::unique_ptr<Check> MakeClockCheckFrom(const CheckEnv& env, ReadKernelClock read);

}  // namespace fleet::agent
