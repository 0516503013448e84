#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HttpGet;
using ::fleet::test::Process;
using ::fleet::test::ReadFile;
using ::fleet::test::RunProgram;
using ::fleet::test::WaitFor;
using ::testing::HasSubstr;

constexpr char kProgram[] = FLEET_BIN_DIR "/fleet-collector";

uint16_t PortIn(const std::string& text, absl::string_view key) {
  const size_t at = text.find(absl::StrCat(key, "="));
  uint32_t port = 0;
  if (at == std::string::npos) return 0;
  const absl::string_view rest = absl::string_view(text).substr(at + key.size() + 1);
  return absl::SimpleAtoi(rest.substr(0, rest.find('\n')), &port) ? static_cast<uint16_t>(port) : 0;
}

TEST(CollectorProgramTest, StartsServesAndStops) {
  test::TempDir dir;
  Process collector(
      {kProgram, "--insecure", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
       "--ports-file", dir / "ports"},
      {.output_path = dir / "log", .environment = {}, .user = {}, .working_directory = {}});
  ASSERT_TRUE(WaitFor([&] { return !ReadFile(dir / "ports").empty(); })) << ReadFile(dir / "log");
  const uint16_t http = PortIn(ReadFile(dir / "ports"), "http");
  EXPECT_NE(PortIn(ReadFile(dir / "ports"), "grpc"), 0);
  EXPECT_EQ(HttpGet(http, "/-/ready").status, 200);
  EXPECT_EQ(HttpGet(http, "/-/healthy").status, 200);
  EXPECT_THAT(ReadFile(dir / "log"), HasSubstr(absl::StrCat("http=127.0.0.1:", http)));

  const test::Output second = RunProgram({kProgram, "--insecure", "--grpc-listen", "127.0.0.1:0",
                                          "--http-listen", absl::StrCat("127.0.0.1:", http)});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.text, HasSubstr("Address already in use"));
  EXPECT_EQ(collector.Stop(), 0);
}

TEST(CollectorProgramTest, APathThatSwallowsEverythingIsNoticed) {
  test::TempDir dir;
  Process collector({kProgram, "--insecure", "--grpc-listen", "127.0.0.1:0", "--http-listen",
                     "127.0.0.1:0", "--ports-file", dir / "ports"});
  ASSERT_TRUE(WaitFor([&] { return !ReadFile(dir / "ports").empty(); }));
  const uint16_t http = PortIn(ReadFile(dir / "ports"), "http");
  test::WriteFile(
      dir / "agent.yaml",
      absl::StrCat("collector: 127.0.0.1:", PortIn(ReadFile(dir / "ports"), "grpc"),
                   "\ninsecure: true\ninterval: 1s\nhost: tempo\n", "echo: {enabled: false}\n"));
  Process agent({FLEET_BIN_DIR "/fleet-agent", "--config", dir / "agent.yaml"});
  const auto streams = [http](absl::string_view count) {
    return absl::StrContains(HttpGet(http, "/metrics/self").body,
                             absl::StrCat("fleet_collector_streams{lane=\"live\"} ", count, "\n"));
  };
  ASSERT_TRUE(WaitFor([&] { return streams("1"); }));
  agent.Kill(SIGSTOP);  // its kernel still acknowledges every packet
  EXPECT_TRUE(WaitFor([&] { return streams("0"); }, absl::Seconds(35)));
  agent.Kill(SIGCONT);
  EXPECT_TRUE(WaitFor([&] { return streams("1"); }, absl::Seconds(40))) << "and it comes back";
}

TEST(CollectorProgramTest, SaysAllThatIsWrongWithItsConfig) {
  test::TempDir dir;
  test::WriteFile(dir / "collector.yaml",
                  "grcp: {listen: x}\nhttp: {listen: nowhere}\nlimits: {hosts: many}\n");
  const test::Output output =
      RunProgram({kProgram, "--check-config", "--config", dir / "collector.yaml"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.text, HasSubstr("collector.yaml:1: grcp"));
  EXPECT_THAT(output.text, HasSubstr("collector.yaml:2: http.listen"));
  EXPECT_THAT(output.text, HasSubstr("collector.yaml:3: limits.hosts"));
  test::WriteFile(dir / "good.yaml", "insecure: true\n");
  EXPECT_EQ(RunProgram({kProgram, "--check-config", "--config", dir / "good.yaml"}).exit_code, 0);
  const test::Output missing = RunProgram({kProgram, "--config", dir / "missing.yaml"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.text, HasSubstr("missing.yaml"));
}

TEST(CollectorProgramTest, PlaintextStaysOnLoopback) {
  const test::Output output = RunProgram({kProgram, "--insecure", "--grpc-listen", "0.0.0.0:0"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.text, HasSubstr("insecure listens on loopback only"));
  EXPECT_THAT(RunProgram({kProgram}).text, HasSubstr("tls: expected ca, cert and key"));
}

TEST(CollectorProgramTest, VersionHelpAndUsage) {
  EXPECT_THAT(RunProgram({kProgram, "--version"}).text, HasSubstr("fleet-collector "));
  EXPECT_EQ(RunProgram({kProgram, "--help"}).exit_code, 0);
  EXPECT_EQ(RunProgram({kProgram, "--nonsense"}).exit_code, 64);
}

}  // namespace
}  // namespace fleet::collector
