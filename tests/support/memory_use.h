#pragma once

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstddef>
#include <cstdio>
#include <memory>

#include "absl/functional/function_ref.h"

namespace fleet::test {

/// How much more memory this process had at a time while `work` ran than before it; with a
/// sanitizer nothing, because it keeps what was freed, or a shadow of all.
inline size_t MemoryFor(absl::FunctionRef<void()> work) {
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  const auto peak = [] {
    const File status(std::fopen("/proc/self/status", "re"), &std::fclose);
    size_t kilobytes = 0;
    char line[256];
    while (status != nullptr && std::fgets(line, sizeof line, status.get()) != nullptr) {
      if (std::sscanf(line, "VmHWM: %zu kB", &kilobytes) == 1) break;
    }
    EXPECT_GT(kilobytes, 0u);
    return kilobytes << 10;
  };
  ::malloc_trim(0);  // what was freed before hides nothing
  {
    const File reset(std::fopen("/proc/self/clear_refs", "we"), &std::fclose);
    EXPECT_TRUE(reset != nullptr && std::fputs("5", reset.get()) >= 0);  // the peak begins anew
  }
  [[maybe_unused]] const size_t before = peak();
  work();
#if defined(__SANITIZE_ADDRESS__) || defined(FLEET_TSAN)
  return 0;
#else
  return peak() - before;
#endif
}

}  // namespace fleet::test
