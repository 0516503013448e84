// What each check makes of bytes that nobody should send: never a crash, never "ok", and an answer
// that names what could not be read. One entry per check at least; a check without one fails by
// name.
#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/judge.h"
#include "common/escape.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/redis_server.h"

namespace fleet::test {
namespace {

namespace fs = std::filesystem;

constexpr char kHost[] = FLEET_SOURCE_DIR "/tests/fixtures/hosts/tempo";

/// Not text, not numbers, no end.
const std::string& Noise() {
  static constexpr char kNoise[] = "\xff\xfe\0garbage \x1b[31m 18446744073709551616 -1 {\"a\":[\"=";
  static const std::string noise(kNoise, sizeof(kNoise) - 1);
  return noise;
}

/// What a file of the recorded host becomes.
enum class Damage { kNoise, kEmpty, kHalf };

struct FileCase {
  const char* check;
  const char* path;
  Damage damage;
};

/// The files that a check cannot do without. What else it reads may be missing on some kernels, and
/// its damage is covered by AnyDamagedFileIsSurvived.
constexpr FileCase kFiles[] = {
    {"cpu", "proc/stat", Damage::kNoise},
    {"cpu", "proc/stat", Damage::kEmpty},
    {"disk", "proc/1/mountinfo", Damage::kNoise},
    {"disk", "proc/diskstats", Damage::kNoise},
    {"kernel", "proc/sys/fs/file-nr", Damage::kNoise},
    {"load", "proc/loadavg", Damage::kNoise},
    {"load", "proc/loadavg", Damage::kEmpty},
    {"memory", "proc/meminfo", Damage::kNoise},
    {"memory", "proc/meminfo", Damage::kEmpty},
    {"memory", "proc/pressure/memory", Damage::kNoise},
    {"network", "proc/net/dev", Damage::kNoise},
    {"network", "proc/net/netstat", Damage::kNoise},
    {"network", "proc/net/sockstat", Damage::kNoise},
    {"raid", "proc/mdstat", Damage::kNoise},
    {"tinc", "etc/tinc/chitter/tinc.conf", Damage::kNoise},
    {"tinc", "run/tinc.chitter.pid", Damage::kNoise},
};

/// A copy of the recorded host with one file damaged.
class DamagedHost {
 public:
  DamagedHost() { fs::copy(kHost, dir_.path(), fs::copy_options::recursive); }
  void Damage(const std::string& path, enum Damage damage) {
    const std::string whole = ReadFile(dir_ / path);
    WriteFile(dir_ / path, damage == Damage::kNoise   ? Noise()
                           : damage == Damage::kEmpty ? std::string()
                                                      : whole.substr(0, whole.size() / 2));
  }
  void Mend(const std::string& path) {
    WriteFile(dir_ / path, ReadFile(absl::StrCat(kHost, "/", path)));
  }
  agent::HostFs fs() const { return agent::HostFs(dir_.path()); }

 private:
  TempDir dir_;
};

const agent::CheckSpec& Spec(absl::string_view name) {
  for (const agent::CheckSpec& spec : agent::AllChecks()) {
    if (spec.name == name) return spec;
  }
  ADD_FAILURE() << "no check " << name;
  return agent::AllChecks()[0];
}

/// The report as the agent would send it.
Report Judged(CheckResult result) {
  agent::Judge(result.status, true, result.report);
  return std::move(result.report);
}

std::string Describe(const Report& report) {
  return absl::StrCat(VerdictName(report.verdict), ": ", report.reason);
}

/// No control character and no broken UTF-8 may leave the agent.
bool IsClean(absl::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f' || c == '\xff' || c == '\xfe') {
      return false;
    }
  }
  return true;
}

/// What Prometheus refuses a whole scrape for.
bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = Utf8SequenceSize(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

TEST(MalformedTest, ADamagedFileIsNamedAndNeverOk) {
  for (const FileCase& test : kFiles) {
    SCOPED_TRACE(absl::StrCat(test.check, " ", test.path, " ", static_cast<int>(test.damage)));
    DamagedHost host;
    host.Damage(test.path, test.damage);
    CheckRunner runner(host.fs());
    const Report report = Judged(runner.Run(Spec(test.check).make));
    EXPECT_NE(report.verdict, Verdict::kOk) << Describe(report);
    EXPECT_FALSE(report.absent) << Describe(report);
    EXPECT_FALSE(report.reason.empty());
    EXPECT_TRUE(IsClean(report.reason)) << Describe(report);
  }
}

TEST(MalformedTest, AnyDamagedFileIsSurvived) {
  DamagedHost host;
  for (const auto& entry : fs::recursive_directory_iterator(kHost)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = fs::relative(entry.path(), kHost);
    for (const Damage damage : {Damage::kNoise, Damage::kEmpty, Damage::kHalf}) {
      SCOPED_TRACE(absl::StrCat(path, " ", static_cast<int>(damage)));
      host.Damage(path, damage);
      for (const agent::CheckSpec& spec : agent::AllChecks()) {
        CheckRunner runner(host.fs());
        const Report report = Judged(runner.Run(spec.make));
        EXPECT_TRUE(IsClean(report.reason)) << spec.name << " " << Describe(report);
        for (size_t i = 0; i < report.samples.size(); ++i) {
          EXPECT_TRUE(IsUtf8(report.samples.labels(i)))
              << spec.name << " " << report.samples.name(i) << report.samples.labels(i);
        }
        for (const Item& item : report.items) {
          EXPECT_TRUE(IsClean(item.name)) << spec.name << " " << item.name;
          EXPECT_TRUE(IsClean(item.reason)) << spec.name << " " << item.reason;
        }
      }
    }
    host.Mend(path);
  }
}

/// How a check is pointed at a server at `address`.
struct ServerCase {
  const char* check;
  void (*point)(const std::string& address, agent::CheckOptions& options);
};

constexpr ServerCase kServers[] = {
    {"minio",
     [](const std::string& address, agent::CheckOptions& options) {
       agent::MinioServer server;
       server.url = absl::StrCat("http://", address);
       options.minio.servers = {server};
     }},
    {"postgres",
     [](const std::string& address, agent::CheckOptions& options) {
       options.postgres.servers = {{.name = "main",
                                    .dsn = absl::StrCat("host=127.0.0.1 sslmode=disable port=",
                                                        address.substr(address.rfind(':') + 1)),
                                    .password_file = {}}};
     }},
    {"redis",
     [](const std::string& address, agent::CheckOptions& options) {
       options.redis.servers = {
           {.name = "main", .address = address, .user = "", .password_file = ""}};
     }},
    {"sidekiq",
     [](const std::string& address, agent::CheckOptions& options) {
       options.sidekiq.redis = {.name = "", .address = address, .user = "", .password_file = ""};
     }},
};

TEST(MalformedTest, AServerThatSpeaksGarbageIsNeverOk) {
  const std::string garbage[] = {
      Noise(),
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "*2147483647\r\n$-5\r\n",
      "$536870912\r\n",
      std::string("R\0\0\0\x08\0\0\0\0Z\xff\xff\xff\xff", 14),
      std::string("E\0\0\0\x05", 5) + '\0',
      std::string(1 << 20, 'x'),
      "",
  };
  for (const ServerCase& test : kServers) {
    for (const std::string& bytes : garbage) {
      for (const bool close : {true, false}) {
        SCOPED_TRACE(absl::StrCat(test.check, " ", bytes.size(), " bytes ", close));
        const FakeServer server(bytes, close);
        CheckRunner runner{agent::HostFs("/")};
        runner.UseRealClock();
        runner.set_deadline(absl::Milliseconds(500));
        test.point(server.address(), runner.options());
        const absl::Time start = absl::Now();
        const Report report = Judged(runner.Run(Spec(test.check).make));
        EXPECT_NE(report.verdict, Verdict::kOk) << Describe(report);
        EXPECT_FALSE(report.absent) << Describe(report);
        EXPECT_TRUE(IsClean(report.reason)) << Describe(report);
        EXPECT_LT(absl::Now() - start, absl::Seconds(5));
      }
    }
  }
}

/// Checks whose malformed input is no file and no server of this table, and the test that feeds it.
struct Elsewhere {
  const char* check;
  const char* file;
  const char* test;
};
constexpr Elsewhere kElsewhere[] = {
    {"clock", "tests/unit/agent/checks/clock_check_test.cc", "NamesOfSourcesAreNeverTrusted"},
    {"systemd", "tests/integration/systemd_test.cc", "ThatSpeaksGarbageIsAnError"},
};

TEST(MalformedTest, EveryCheckIsFed) {
  for (const agent::CheckSpec& spec : agent::AllChecks()) {
    bool fed = false;
    for (const FileCase& test : kFiles) fed = fed || spec.name == test.check;
    for (const ServerCase& test : kServers) fed = fed || spec.name == test.check;
    for (const Elsewhere& test : kElsewhere) {
      if (spec.name != test.check) continue;
      fed = true;
      EXPECT_THAT(ReadFile(absl::StrCat(FLEET_SOURCE_DIR, "/", test.file)),
                  ::testing::HasSubstr(test.test));
    }
    EXPECT_TRUE(fed) << spec.name << " is fed nothing malformed: add it to a table of this file";
  }
}

}  // namespace
}  // namespace fleet::test
