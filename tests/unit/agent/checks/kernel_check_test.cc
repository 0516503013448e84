#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::ElementsAre;

class KernelCheckTest : public ::testing::Test {
 protected:
  KernelCheckTest() {
    host_.Write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
        .Write("proc/sys/kernel/ostype", "Linux\n")
        .Write("proc/sys/kernel/hostname", "tempo\n")
        .Write("proc/sys/kernel/domainname", "(none)\n")
        .Write("proc/sys/kernel/version", "#1 SMP Debian 6.1.76-1\n")
        .Write("proc/sys/kernel/arch", "x86_64\n");
  }
  CheckResult Run() { return CheckRunner(host_.fs()).Run(MakeKernelCheck); }
  TempHost host_;
};

TEST_F(KernelCheckTest, EmitsWhatNodeExporterDoes) {
  host_.Write("proc/sys/kernel/random/entropy_avail", "256\n")
      .Write("proc/sys/kernel/random/poolsize", "256\n")
      .Write("proc/sys/fs/file-nr", "1723\t0\t2466193\n")
      .Write(
          "etc/os-release",
          "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n"
          "VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n");
  const CheckResult result = Run();
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre(
          R"x(node_uname_info{domainname="(none)",machine="x86_64",nodename="tempo",)x"
          R"x(release="6.1.0-18-amd64",sysname="Linux",version="#1 SMP Debian 6.1.76-1"} 1)x",
          "node_selinux_enabled 0", "node_entropy_available_bits 256",
          "node_entropy_pool_size_bits 256", "node_filefd_allocated 1723",
          "node_filefd_maximum 2466193",
          R"x(node_os_info{build_id="",id="debian",id_like="",image_id="",image_version="",)x"
          R"x(name="Debian GNU/Linux",pretty_name="Debian GNU/Linux 12 (bookworm)",variant="",)x"
          R"x(variant_id="",version="12 (bookworm)",version_codename="bookworm",)x"
          R"x(version_id="12"} 1)x",
          R"x(node_os_version{id="debian",id_like="",name="Debian GNU/Linux"} 12)x"));
  EXPECT_EQ(result.verdict(), Verdict::kOk);
  EXPECT_EQ(result.report.reason, "Linux 6.1.0-18-amd64, Debian GNU/Linux 12 (bookworm)");
}

TEST_F(KernelCheckTest, WarnsWhenOpenFilesRunOut) {
  host_.Write("proc/sys/fs/file-nr", "820\t0\t1000\n");
  const CheckResult result = Run();
  EXPECT_EQ(result.verdict(), Verdict::kWarn);
  EXPECT_EQ(result.report.reason,
            "open files nearly exhausted: 820 of 1000 (82.0 %), fs.file-max is the limit");
  host_.Write("proc/sys/fs/file-nr", "990\t0\t1000\n");
  EXPECT_EQ(Run().verdict(), Verdict::kCrit);
  host_.Write("proc/sys/fs/file-nr", "990\t0\t0\n");
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
}

TEST_F(KernelCheckTest, SeesSelinuxAndTheOtherOsRelease) {
  host_.Write("sys/fs/selinux/enforce", "1").Write("usr/lib/os-release", "ID=x\nVERSION_ID=3\n");
  const CheckResult result = Run();
  EXPECT_EQ(result.value("node_selinux_enabled"), 1);
  EXPECT_EQ(result.value(R"(node_os_version{id="x",id_like="",name=""})"), 3);
}

TEST_F(KernelCheckTest, KeepsWhatItReadBeforeAnError) {
  host_.Write("proc/sys/fs/file-nr", "x\n").Write("etc/os-release", "ID=x\n");
  const CheckResult result = Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(result.report.samples.size(), 3);
}

TEST_F(KernelCheckTest, IsAbsentWithoutTheFile) {
  host_.Remove("proc/sys/kernel/osrelease");
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
