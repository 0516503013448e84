// A main for end-to-end tests that want the standard ports and /run to themselves: runs the tests
// inside network and mount namespaces of their own. Without root they run where they are and skip
// by name what would meet the machine's own servers.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/process.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::geteuid() == 0) {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0) {
      std::perror("namespaces of our own");
      return 1;
    }
    ::mount("sysfs", "/sys", "sysfs", 0, nullptr);  // shows the links of this namespace
    if (fleet::test::RunProgram({"ip", "link", "set", "lo", "up"}).exit_code != 0) return 1;
    ::setenv("FLEET_TEST_INSIDE", "1", 1);
  }
  return RUN_ALL_TESTS();
}
