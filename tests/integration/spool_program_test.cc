// The spool as an admin meets it: real programs, kill -9, a full disk, a damaged file.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SpoolProgramTest : public ::testing::Test {
 protected:
  /// An agent whose collector is away, with its data in `data_dir`.
  std::unique_ptr<Process> StartAgent(const std::string& data_dir,
                                      const std::string& interval = "100ms") {
    WriteFile(dir_ / "agent.yaml",
              absl::StrCat("collector: 127.0.0.1:", port_, "\ninsecure: true\nhost: tempo\n",
                           "interval: ", interval, "\ndata_dir: ", data_dir, "\n"));
    return std::make_unique<Process>(
        std::vector<std::string>{FLEET_BIN_DIR "/fleet-agent", "--config", dir_ / "agent.yaml"},
        Process::Options{dir_ / "agent.log", {}, "", ""});
  }
  Output Spool(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {FLEET_BIN_DIR "/fleet-agent", "spool"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    argv.insert(argv.end(), {"--config", dir_ / "agent.yaml"});
    return RunProgram(argv);
  }
  /// The number in the last line of `spool ls`: reports in all.
  int Reports() {
    const std::vector<std::string> lines = absl::StrSplit(Spool({"ls"}).text, '\n');
    return lines.size() < 2 ? 0 : std::atoi(lines[lines.size() - 2].c_str());
  }
  std::vector<std::string> SegmentFiles(const std::string& data_dir) {
    std::vector<std::string> paths;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(data_dir + "/spool", error)) {
      paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  std::string Log() { return ReadFile(dir_ / "agent.log"); }

  const TempDir dir_;
  const uint16_t port_ = FreePort();
};

TEST_F(SpoolProgramTest, CommandsReadASpoolThatIsWrittenAndOneThatIsDamaged) {
  const std::string data = dir_ / "data";
  std::unique_ptr<Process> agent = StartAgent(data);
  ASSERT_TRUE(WaitFor([&] { return Reports() > 20; })) << Log();
  // While the agent writes, again and again.
  for (int i = 0; i < 20; ++i) {
    const Output verify = Spool({"verify"});
    EXPECT_EQ(verify.exit_code, 0) << verify.text;
    EXPECT_THAT(verify.text, HasSubstr("nothing damaged"));
  }
  const int before = Reports();
  agent->Kill(SIGKILL);
  agent->Wait(absl::Seconds(5));
  // Nothing that was there is gone, and all of it can be read.
  EXPECT_GE(Reports(), before);
  const Output exported = Spool({"export"});
  EXPECT_EQ(exported.exit_code, 0);
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(exported.text, '\n', absl::SkipEmpty())) {
    const nlohmann::json report = nlohmann::json::parse(std::string(line), nullptr, false);
    ASSERT_TRUE(report.is_object()) << line;
    EXPECT_EQ(report["host"], "tempo");
    EXPECT_TRUE(report.contains("start") && report.contains("verdict") &&
                report["samples"].is_array());
    ++lines;
  }
  EXPECT_EQ(lines, Reports());
  EXPECT_EQ(Spool({"export", "--since", "2200-01-01T00:00:00Z"}).text, "");
  EXPECT_EQ(Spool({"export", "--since", "yesterday"}).exit_code, 64);

  const std::string file = SegmentFiles(data).at(0);
  std::string bytes = ReadFile(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
  WriteFile(file, bytes);
  const Output verify = Spool({"verify"});
  EXPECT_EQ(verify.exit_code, 1);
  EXPECT_THAT(verify.text, AllOf(HasSubstr(file), HasSubstr("offset"), HasSubstr("is damaged")));
  EXPECT_THAT(Spool({"ls"}).text, HasSubstr("damaged at"));
  const Output rest = Spool({"export"});
  EXPECT_EQ(rest.exit_code, 1);
  EXPECT_THAT(rest.text, HasSubstr("\"host\":\"tempo\""));
  EXPECT_EQ(Spool({"ls", "--dir", dir_ / "nowhere"}).exit_code, 1);
  EXPECT_EQ(ReadFile(file), bytes);  // looking changes nothing
}

TEST_F(SpoolProgramTest, AfterKillsOfTheAgentEveryReportOfTheSpoolIsDeliveredAndTheSpoolIsEmpty) {
  const std::string data = dir_ / "data";
  std::unique_ptr<Process> agent;
  for (int i = 0; i < 5; ++i) {
    agent = StartAgent(data);
    const int before = i == 0 ? 0 : Reports();
    ASSERT_TRUE(WaitFor([&] { return Reports() > before + 5; })) << Log();
    agent->Kill(SIGKILL);
    agent->Wait(absl::Seconds(5));
    EXPECT_GE(Reports(), before);
    EXPECT_EQ(Spool({"verify"}).exit_code, 0);
  }
  const int waiting = Reports();
  WriteFile(dir_ / "collector.yaml", absl::StrCat("grpc: {listen: \"127.0.0.1:", port_, "\"}\n"));
  Process collector(
      {FLEET_BIN_DIR "/fleet-collector", "--insecure", "--config", dir_ / "collector.yaml",
       "--http-listen", "127.0.0.1:0", "--ports-file", dir_ / "ports"},
      Process::Options{dir_ / "collector.log", {}, "", ""});
  agent = StartAgent(data, "1s");
  ASSERT_TRUE(WaitFor([&] { return SegmentFiles(data).size() <= 1; }, absl::Seconds(40))) << Log();
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(ReadFile(dir_ / "ports"), "http="); }));
  const std::string ports = ReadFile(dir_ / "ports");
  const std::string http = ports.substr(ports.find("http=") + 5, 5);
  const std::string metrics =
      HttpGet(absl::StrCat("http://127.0.0.1:", std::atoi(http.c_str()), "/metrics/self")).body;
  const size_t at = metrics.find("lane=\"backlog\"", metrics.find("_reports_total{"));
  ASSERT_NE(at, std::string::npos) << metrics;
  EXPECT_GE(std::atoi(metrics.c_str() + metrics.find('}', at) + 2), waiting);
}

TEST_F(SpoolProgramTest, AFullDiskIsSurvivedAndTheSpoolComesBackByItself) {
  if (!IsRoot()) GTEST_SKIP() << "needs root for a small disk";
  const std::string disk = dir_ / "disk";
  fs::create_directory(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k"), 0);
  const auto unmount = [](const std::string* path) { ::umount2(path->c_str(), MNT_DETACH); };
  const std::unique_ptr<const std::string, decltype(unmount)> mounted(&disk, unmount);
  std::unique_ptr<Process> agent = StartAgent(disk);
  ASSERT_TRUE(WaitFor([&] { return Reports() > 5; })) << Log();
  Shell(absl::StrCat("dd if=/dev/zero of=", disk, "/filler bs=4k 2>/dev/null"));
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(Log(), "keeps reports in memory"); },
                      absl::Seconds(60)))
      << Log();
  EXPECT_TRUE(agent->Running());
  const int before = Reports();
  fs::remove(disk + "/filler");
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(Log(), "the spool writes again"); },
                      absl::Seconds(60)))
      << Log();
  ASSERT_TRUE(WaitFor([&] { return Reports() > before; }));
  EXPECT_EQ(agent->Stop(), 0);
  EXPECT_EQ(Spool({"verify"}).exit_code, 0);
  EXPECT_THAT(Log(), Not(HasSubstr("drops its oldest")));
}

}  // namespace
}  // namespace fleet::test
