#include "agent/start_pages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"

namespace fleet::agent {
namespace {

/// RssFile in kB.
int64_t MappedKilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, "RssFile:")) return std::stoll(line.substr(8));
  }
  return -1;
}

TEST(StartPages, AreLetGoAndComeBack) {
  const int64_t before = MappedKilobytes();
  ASSERT_GT(before, 0);
  DropStartPages();
  const int64_t after = MappedKilobytes();
  EXPECT_LT(after, before);
  // What is run and read from here on was just dropped.
  EXPECT_EQ(std::to_string(before * 1000).substr(0, 1).size(), 1U);
  EXPECT_GT(MappedKilobytes(), 0);
}

}  // namespace
}  // namespace fleet::agent
