#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// Makes `host` the machine of one recorded md state, as tests/fixtures/md holds them: `state` is
/// "run1-raid1/006-raid1-failed-member". Its `.mdstat` is the file, its `.sysfs` one line per
/// attribute below /sys/block/mdN/md ("degraded=1|", '|' for a newline).
void UnpackMdState(absl::string_view state, TempHost& host);

}  // namespace fleet::test
