#include "agent/kept_file.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::TempHost;

TEST(KeptFileTest, ReadsTheFileAsItIsNow) {
  KeptFile file(HostFs("/"), absl::StrCat("proc/", ::getpid(), "/comm"), KeptFile::Records::kOne);
  char before[16] = {};
  ::prctl(PR_GET_NAME, before);
  for (const absl::string_view name : {"one", "a-longer-name", "x"}) {
    ::prctl(PR_SET_NAME, std::string(name).c_str());
    const auto text = file.ReadTrimmed();
    EXPECT_TRUE(text.ok() && *text == name) << text.status();
  }
  ::prctl(PR_SET_NAME, before);
}

TEST(KeptFileTest, ReadsBeyondOneBuffer) {
  const HostFs fs("/");
  KeptFile file(fs, "proc/kallsyms", KeptFile::Records::kMany);
  const auto plain = fs.Read("proc/kallsyms", 64 << 20);
  if (!plain.ok() || plain->size() > HostFs::kReadBytesMax) {
    EXPECT_THAT(file.Read().status(),
                HasCode(plain.ok() ? absl::StatusCode::kResourceExhausted : plain.status().code()));
  } else {
    EXPECT_EQ(file.Read().value_or(""), *plain);
  }
  KeptFile mounts(fs, "proc/self/mountinfo", KeptFile::Records::kMany);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(mounts.Read().value_or(""), fs.Read("proc/self/mountinfo").value_or("no"));
  }
}

TEST(KeptFileTest, AFileThatWentIsNotFound) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  KeptFile file(HostFs("/"), absl::StrCat("proc/", child, "/stat"), KeptFile::Records::kOne);
  EXPECT_TRUE(file.Read().ok());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(file.Read().status(), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(file.Read().status(), HasCode(absl::StatusCode::kNotFound));
}

TEST(KeptFileTest, OfAFixtureHostReadsWhatReplacedIt) {
  TempHost host;
  KeptFile file(host.fs(), "proc/loadavg", KeptFile::Records::kOne);
  EXPECT_THAT(file.Read().status(), HasCode(absl::StatusCode::kNotFound));
  host.Write("proc/loadavg", "1\n");
  EXPECT_EQ(file.ReadTrimmed().value_or(""), "1");
  ASSERT_EQ(::rename(host.fs().Path("proc/loadavg").c_str(), host.fs().Path("proc/old").c_str()),
            0);
  EXPECT_THAT(file.Read().status(), HasCode(absl::StatusCode::kNotFound));
  host.Write("proc/loadavg", "2\n");
  EXPECT_EQ(file.ReadTrimmed().value_or(""), "2");
  host.Write("proc/loadavg", "");
  EXPECT_EQ(file.Read().value_or("no"), "");
}

}  // namespace
}  // namespace fleet::agent
