#include "tests/support/process.h"

#include <signal.h>

#include "tests/support/matchers.h"

namespace fleet::test {
namespace {

TEST(ProcessTest, RunsToTheEndAndSaysHow) {
  EXPECT_EQ(Shell("echo hello; exit 3").exit_code, 3);
  EXPECT_EQ(Shell("echo hello; echo there >&2").text, "hello\nthere\n");
}

TEST(ProcessTest, KillsWhatDoesNotEnd) {
  EXPECT_EQ(RunProgram({"sleep", "60"}, absl::Milliseconds(20)).exit_code, 128 + SIGTERM);
  pid_t pid = 0;
  {
    Process process({"sleep", "60"});
    pid = process.pid();
    EXPECT_TRUE(process.Running());
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

}  // namespace
}  // namespace fleet::test
