// The house rules that a machine can hold us to.
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLinesMax = 500;
constexpr size_t kColumnsMax = 100;

/// Paths below the checkout, relative to it, in the folders that hold our own files.
std::vector<std::string> Files(const std::vector<std::string>& folders,
                               const std::set<std::string>& extensions) {
  std::vector<std::string> files;
  for (const std::string& folder : folders) {
    const fs::path root = fs::path(FLEET_SOURCE_DIR) / folder;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      const std::string path = fs::relative(entry.path(), FLEET_SOURCE_DIR);
      if (!entry.is_regular_file() || absl::StrContains(path, "/fixtures/")) continue;
      if (extensions.count(entry.path().extension()) > 0) files.push_back(path);
    }
  }
  return files;
}

std::string Read(const std::string& path) {
  return ReadFile(absl::StrCat(FLEET_SOURCE_DIR, "/", path));
}

const std::vector<std::string> kCodeFolders = {"agent", "collector", "common", "fleetctl", "tests"};

size_t Columns(absl::string_view line) {
  size_t columns = 0;
  for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return columns;
}

TEST(TidyTest, FilesAreShortAndNarrow) {
  for (const std::string& file : Files(kCodeFolders, {".cc", ".h"})) {
    const std::vector<std::string> lines = absl::StrSplit(Read(file), '\n');
    EXPECT_LE(lines.size(), kLinesMax + 1) << file;
    // A literal that would be worse when broken may be longer: a recorded line, a URL, a script.
    for (size_t i = 0; i < lines.size(); ++i) {
      if (absl::StrContains(lines[i], '"') || absl::StrContains(lines[i], "'") ||
          absl::StrContains(lines[i], "http") || absl::StartsWith(file, "tests/")) {
        continue;
      }
      EXPECT_LE(Columns(lines[i]), kColumnsMax) << file << ":" << i + 1;
    }
  }
}

TEST(TidyTest, EverySourceIsBuilt) {
  std::string lists;
  for (const std::string& file : Files(kCodeFolders, {".txt"})) lists += Read(file);
  for (const std::string& file : Files(kCodeFolders, {".cc"})) {
    const fs::path path(file);
    // As its list names it: "checks/load_check.cc", or by a longer or shorter path.
    EXPECT_TRUE(absl::StrContains(lists, path.filename().string()))
        << file << " stands in no CMakeLists.txt";
  }
}

TEST(TidyTest, EveryParserHasATestAndAFuzzTarget) {
  std::string fuzzers;
  for (const std::string& file : Files({"tests/fuzz"}, {".cc"})) fuzzers += Read(file);
  std::string tests;
  for (const std::string& file : Files({"tests/unit/agent/parse"}, {".cc"})) tests += Read(file);
  for (const std::string& file : Files({"agent/parse"}, {".h"})) {
    // Without a StatusOr nothing there can fail on its input: a helper of parsers.
    if (!absl::StrContains(Read(file), "StatusOr<")) continue;
    const std::string include = absl::StrCat("#include \"", file, "\"");
    EXPECT_TRUE(absl::StrContains(tests, include)) << file << " has no unit test";
    EXPECT_TRUE(absl::StrContains(fuzzers, include)) << file << " has no fuzz target";
  }
}

TEST(TidyTest, ParsersArePure) {
  const std::regex include("#include \"([^\"]+)\"");
  for (const std::string& file : Files({"agent/parse"}, {".cc", ".h"})) {
    const std::string text = Read(file);
    for (std::sregex_iterator at(text.begin(), text.end(), include), end; at != end; ++at) {
      const std::string header = (*at)[1];
      EXPECT_TRUE(absl::StartsWith(header, "absl/") || absl::StartsWith(header, "agent/parse/") ||
                  header == "common/escape.h" || header == "common/status_macros.h" ||
                  header == "common/units.h" || header == "common/labels.h" ||
                  header == "common/metric.h")
          << file << " includes " << header;
    }
  }
}

TEST(TidyTest, ProgramsDoNotIncludeEachOther) {
  const std::vector<std::string> programs = {"agent", "collector", "fleetctl"};
  for (const std::string folder : {"agent", "collector", "common", "fleetctl"}) {
    for (const std::string& file : Files({folder}, {".cc", ".h"})) {
      const std::string text = Read(file);
      for (const std::string& program : programs) {
        if (program == folder) continue;
        EXPECT_FALSE(absl::StrContains(text, absl::StrCat("#include \"", program, "/")))
            << file << " includes from " << program;
      }
    }
  }
}

TEST(TidyTest, EachHeavyLibraryHasOneDoor) {
  // Which header marks a library, and which folder or file may include it.
  const std::map<std::string, std::vector<std::string>> doors = {
      {"<pqxx/", {"agent/"}},
      {"<hiredis/", {"agent/"}},
      {"<curl/", {"common/http_client.cc", "common/probe/"}},
      {"<microhttpd.h>", {"collector/http/"}},
      {"<yaml-cpp/", {"common/config_loader.cc"}},
      {"<systemd/sd-bus.h>", {"agent/"}},
      {"<systemd/sd-daemon.h>", {"common/service_notify.cc"}},
      {"<snappy.h>", {"collector/remote_write/snappy.cc"}},
      {"<sqlite3.h>", {"collector/database.cc"}},
      {"<cmark.h>", {"collector/web/markdown.cc"}},
  };
  for (const auto& [header, allowed] : doors) {
    std::set<std::string> users;
    for (const std::string& file :
         Files({"agent", "collector", "common", "fleetctl"}, {".cc", ".h"})) {
      if (absl::StrContains(Read(file), absl::StrCat("#include ", header))) users.insert(file);
    }
    // Probes ask libcurl at another level than the rest of us: a few files of one folder.
    const size_t users_max = header == "<curl/" ? 4 : 2;
    EXPECT_LE(users.size(), users_max) << header << " is included by several files";
    for (const std::string& user : users) {
      bool fine = false;
      for (const std::string& door : allowed) fine = fine || absl::StartsWith(user, door);
      EXPECT_TRUE(fine) << user << " includes " << header;
    }
  }
}

TEST(TidyTest, NothingIsLeftOver) {
  // Spelled apart, so that this file does not find itself.
  const std::vector<std::string> marks = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "XX"
      "X:"};
  for (const std::string& file : Files(kCodeFolders, {".cc", ".h", ".txt"})) {
    const std::string text = Read(file);
    for (const std::string& mark : marks) {
      EXPECT_FALSE(absl::StrContains(text, mark)) << file << " has a " << mark;
    }
  }
}

TEST(TidyTest, TestsDoNotSleep) {
  const std::regex sleep(R"((sleep_for|SleepFor|[^_]usleep\(|[^a-z_]sleep\())");
  for (const std::string& file : Files({"tests"}, {".cc", ".h"})) {
    if (file == "tests/unit/tidy_test.cc") continue;
    EXPECT_FALSE(std::regex_search(Read(file), sleep)) << file;
  }
}

}  // namespace
}  // namespace fleet::test
