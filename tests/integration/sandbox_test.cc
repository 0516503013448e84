// What systemd's sandbox does to the programs: the shipped units are scored, started by a real
// systemd, and compared with the same program outside.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/support/matchers.h"
#include "tests/support/namespace_systemd.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// `systemd-analyze security` of the shipped units may not get worse than this (0 to 10, 10 is
/// no sandbox at all).
constexpr double kAgentExposureMax = 2.0;
constexpr double kCollectorExposureMax = 1.2;

std::string UnitFile(absl::string_view name) {
  return absl::StrCat(FLEET_SOURCE_DIR, "/deploy/systemd/", name);
}

TEST(UnitSecurityTest, ScoresAsTheDocumentSays) {
  if (!HasProgram("systemd-analyze")) GTEST_SKIP() << "needs systemd-analyze";
  const std::string document = ReadFile(FLEET_SOURCE_DIR "/docs/operating.md");
  const std::pair<std::string, double> units[] = {
      {"fleet-agent.service", kAgentExposureMax},
      {"fleet-collector.service", kCollectorExposureMax}};
  for (const auto& [unit, exposure_max] : units) {
    SCOPED_TRACE(unit);
    const Output output =
        RunProgram({"systemd-analyze", "security", "--offline=true", "--no-pager", UnitFile(unit)});
    constexpr absl::string_view kLine = "Overall exposure level for ";
    const size_t at = output.text.find(kLine.data());
    ASSERT_NE(at, std::string::npos) << output.text;
    absl::string_view rest = absl::string_view(output.text).substr(at + kLine.size());
    ASSERT_TRUE(absl::ConsumePrefix(&rest, absl::StrCat(unit, ": "))) << rest;
    const std::string score(rest.substr(0, rest.find(' ')));
    double exposure = 0;
    ASSERT_TRUE(absl::SimpleAtod(score, &exposure)) << rest;
    EXPECT_LE(exposure, exposure_max) << output.text;
    EXPECT_THAT(document, HasSubstr(absl::StrCat("| `", unit, "` | ", score, " |")));
  }
}

/// Whose verdict is of a moment or of a window since the start: two looks may differ in it.
bool IsOfTheMoment(const std::string& check) {
  return check == "cpu" || check == "load" || check == "memory";
}

/// Verdicts of checks and items by name, from the JSON of `fleet-agent check` or of one host of
/// `fleetctl status`.
std::map<std::string, std::string> Verdicts(const nlohmann::json& host) {
  std::map<std::string, std::string> verdicts;
  if (!host.is_object()) return verdicts;
  for (const auto& check : host.value("checks", nlohmann::json::array())) {
    const std::string name = check["name"];
    if (check["verdict"] == "absent") continue;
    verdicts[name] = check["verdict"];
    if (IsOfTheMoment(name) && check["verdict"] != "unknown") verdicts[name] = "known";
    for (const auto& item : check.value("items", nlohmann::json::array())) {
      if (IsOfTheMoment(name)) continue;
      verdicts[absl::StrCat(name, "/", item["name"].get<std::string>())] = item["verdict"];
    }
  }
  return verdicts;
}

std::string Text(const std::map<std::string, std::string>& verdicts) {
  return absl::StrJoin(verdicts, "\n", absl::PairFormatter(": "));
}

/// Shell lines that put our programs where every user may run them, and make a nearly full
/// filesystem on `$1` of the host that the namespaces show.
constexpr char kPrograms[] = R"sh(
mkdir -p /run/fleet-test
cp "$BIN/fleet-agent" "$BIN/fleet-collector" "$BIN/fleetctl" /run/fleet-test/
chmod -R a+rX /run/fleet-test
full_filesystem() {
  truncate -s 16M /run/fleet-test/image
  mkfs.ext4 -q -m 0 /run/fleet-test/image
  mount -o loop /run/fleet-test/image "$1"
  fallocate -l 13M "$1/ballast"
  chmod 755 "$1"
}
)sh";

// The agent in a view that is all read-only.

/// As the unit's sandbox: every mount read-only, /home and /root covered, no capability, another
/// user. Runs "$@".
constexpr char kSandbox[] = R"sh(
set -e
mount --make-rprivate /
awk '{print $5}' /proc/self/mountinfo | while read -r point; do
  mount -o remount,bind,ro "$(printf '%b' "$point")" 2>/dev/null || true
done
for hidden in /home /root; do
  if [ -d $hidden ]; then mount -t tmpfs -o mode=000,ro tmpfs $hidden; fi
done
if touch /run/fleet-test/probe 2>/dev/null; then echo "still writable" >&2; exit 99; fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all "$@"
)sh";

/// $1: where the full filesystem is; $2: kSandbox. Prints two lines of JSON: outside, inside.
constexpr char kCompare[] = R"sh(
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
)sh";
constexpr char kCompareRun[] = R"sh(
full_filesystem "$1"
cd /
printf 'checks: {systemd: off}\n' > /run/fleet-test/agent.yaml
set -- /run/fleet-test/fleet-agent --config /run/fleet-test/agent.yaml check -o json
"$@" || true
unshare -m sh -c "$SANDBOX" sandbox "$@" || true
)sh";

struct Compared {
  nlohmann::json outside;
  nlohmann::json inside;
  std::string text;
};

Compared Compare(const std::string& full) {
  const std::string script =
      absl::StrCat("SANDBOX=\"$2\"\nBIN=" FLEET_BIN_DIR "\n", kCompare, kPrograms, kCompareRun);
  const Output output =
      RunProgram({"unshare", "-mpf", "--mount-proc", "sh", "-c", script, "compare", full, kSandbox},
                 absl::Seconds(60));
  Compared compared;
  compared.text = output.text;
  std::vector<nlohmann::json> found;
  for (const absl::string_view line : absl::StrSplit(output.text, '\n')) {
    if (!absl::StartsWith(line, "{\"host\"")) continue;
    found.push_back(nlohmann::json::parse(std::string(line), nullptr, false));
  }
  if (found.size() == 2) {
    compared.outside = found[0];
    compared.inside = found[1];
  }
  return compared;
}

class ReadOnlyViewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"unshare", "setpriv", "mkfs.ext4", "fallocate"}) {
      if (!HasProgram(program)) GTEST_SKIP() << "needs " << program;
    }
    if (!IsRoot()) GTEST_SKIP() << "needs root, to make namespaces";
    if (RunProgram({"losetup", "-f"}).exit_code != 0) GTEST_SKIP() << "needs a loop device";
  }
};

TEST_F(ReadOnlyViewTest, TheAgentSeesWhatItSeesOutside) {
  Compared compared;
  EXPECT_TRUE(WaitFor(
      [&] {
        compared = Compare("/srv");
        return compared.inside.is_object() &&
               Verdicts(compared.outside) == Verdicts(compared.inside);
      },
      absl::Seconds(30)))
      << "outside:\n"
      << Text(Verdicts(compared.outside)) << "\n\ninside:\n"
      << Text(Verdicts(compared.inside)) << "\n"
      << compared.text.substr(0, 2000);
  const std::map<std::string, std::string> inside = Verdicts(compared.inside);
  // The view is all read-only, and yet no disk is said to be: this is what df says.
  ASSERT_EQ(inside.count("disk//srv"), 1U) << Text(inside);
  EXPECT_EQ(inside.at("disk//srv"), "crit") << Text(inside);
  EXPECT_EQ(inside.at("disk//"), Verdicts(compared.outside).at("disk//"));
  EXPECT_THAT(compared.inside.dump(), Not(HasSubstr("read-only")));
}

TEST_F(ReadOnlyViewTest, AFilesystemThatIsHiddenIsBlindAndNotTheOneThatHidesIt) {
  if (!std::filesystem::is_directory("/home")) GTEST_SKIP() << "needs /home";
  const Compared compared = Compare("/home");
  ASSERT_TRUE(compared.inside.is_object()) << compared.text;
  EXPECT_EQ(Verdicts(compared.outside)["disk//home"], "crit");
  EXPECT_EQ(Verdicts(compared.inside)["disk//home"], "unknown");
  EXPECT_THAT(compared.inside.dump(), HasSubstr("set ProtectHome=read-only"));
}

// The shipped units, by a real systemd.

/// Shell lines that start what the agent looks at beside the machine: PostgreSQL with the role that
/// the documents ask for, Redis with a Sidekiq queue that nobody serves, something that answers
/// like minio, and tincd.
constexpr char kServers[] = R"sh(
bin=/usr/lib/postgresql/15/bin
install -d -o postgres -g postgres /run/postgresql /var/lib/pg
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
as_postgres $bin/initdb -D /var/lib/pg -A trust --no-sync > /run/fleet-test/log.pg
as_postgres $bin/pg_ctl -D /var/lib/pg -w -o '-c listen_addresses= -c fsync=off' \
  -l /var/lib/pg/log start > /run/fleet-test/log.pg
as_postgres psql -qc 'CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet' postgres
redis-server --port 6379 --bind 127.0.0.1 --save '' --dir /tmp --daemonize yes > /dev/null
for i in $(seq 100); do redis-cli ping > /dev/null 2>&1 && break; sleep 0.05; done
redis-cli sadd queues mailers > /dev/null
redis-cli lpush queue:mailers '{"class":"Mail","jid":"1","enqueued_at":1700000000}' > /dev/null
cat > /run/fleet-test/fake_minio.py <<'EOF'
import http.server
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path.startswith("/minio/health") else 403)
        self.send_header("Server", "MinIO")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 9000), Healthy).serve_forever()
EOF
python3 /run/fleet-test/fake_minio.py > /dev/null 2>&1 &
mount -t tmpfs tmpfs /etc/tinc
mkdir -p /etc/tinc/vpn/hosts
printf 'Name = tempo\nDeviceType = dummy\n' > /etc/tinc/vpn/tinc.conf
printf 'Subnet = 10.235.0.4/32\n' > /etc/tinc/vpn/hosts/tempo
tincd -n vpn -K2048 < /dev/null > /dev/null 2>&1
tincd -n vpn
printf 'checks: {systemd: off, minio: {url: "http://127.0.0.1:9000"}}\n' \
  >> /run/fleet-test/fleet-agent.yaml
)sh";

class ShippedUnitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = NamespaceSystemd::Missing(); !missing.empty()) {
      GTEST_SKIP() << "needs " << missing;
    }
    if (RunProgram({"losetup", "-f"}).exit_code != 0) GTEST_SKIP() << "needs a loop device";
    for (const char* program : {"redis-server", "python3", "psql", "tincd"}) {
      if (!HasProgram(program)) GTEST_SKIP() << "needs " << program;
    }
    constexpr char kTarget[] = "[Unit]\nDefaultDependencies=no\n";
    NamespaceSystemd::Options options;
    for (const char* stub : {"sysinit.target", "basic.target", "shutdown.target", "network.target",
                             "multi-user.target", "umount.target"}) {
      options.units[stub] = kTarget;
    }
    options.units["fleet.target"] =
        absl::StrCat(kTarget, "Wants=fleet-collector.service fleet-agent.service\n");
    for (const char* unit : {"fleet-agent", "fleet-collector"}) {
      const std::string name = absl::StrCat(unit, ".service");
      options.units[name] = ReadFile(UnitFile(name));
      // As shipped but for where the program and its configuration are, and for patience.
      options.units[absl::StrCat(name, ".d/test.conf")] =
          absl::StrCat("[Service]\nExecStart=\nExecStart=/run/fleet-test/", unit,
                       " --config /run/fleet-test/", unit,
                       ".yaml\nWatchdogSec=2\nRestartSec=100ms\nLimitCORE=0\n"
                       "StandardError=append:/run/fleet-test/log\n");
    }
    options.setup = absl::StrCat("BIN=" FLEET_BIN_DIR "\n", kPrograms,
                                 R"sh(
for file in passwd group; do cp /etc/$file /run/fleet-test/$file; done
echo fleet-agent:x:64990:64990::/nonexistent:/usr/sbin/nologin >> /run/fleet-test/passwd
echo fleet-collector:x:64991:64991::/nonexistent:/usr/sbin/nologin >> /run/fleet-test/passwd
echo fleet-agent:x:64990: >> /run/fleet-test/group
echo fleet-collector:x:64991: >> /run/fleet-test/group
for file in passwd group; do mount --bind /run/fleet-test/$file /etc/$file; done
for own in /var/lib /var/tmp /tmp; do mount -t tmpfs tmpfs $own; done
mkdir -m 700 /run/credstore
printf 'a-key-of-the-test-0123456789\n' > /run/credstore/fleet-collector.http-keys
printf 'insecure: true\ncollector: 127.0.0.1:10235\nhost: tempo\ninterval: 1s\n' \
  > /run/fleet-test/fleet-agent.yaml
printf 'data_dir: /var/lib/fleet-agent\n' >> /run/fleet-test/fleet-agent.yaml
printf 'insecure: true\ndata_dir: /var/lib/fleet-collector\n' > /run/fleet-test/fleet-collector.yaml
printf 'http: {keys_file: fleet-collector.http-keys}\n' >> /run/fleet-test/fleet-collector.yaml
ip link set lo up
full_filesystem /srv
)sh",
                                 kServers, "chmod a+r /run/fleet-test/*\n");
    systemd_ = std::make_unique<NamespaceSystemd>(options);
    if (systemd_->Root().empty()) {
      GTEST_SKIP() << "systemd cannot run in a namespace here: " << systemd_->Log();
    }
  }

  /// A property of a unit, as systemctl shows it.
  std::string Property(const std::string& unit, const std::string& name) const {
    std::string text = systemd_->Control({"show", "-P", name, unit}).text;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  bool Becomes(const std::string& unit, const std::string& name, const std::string& value) const {
    return WaitFor([&] { return Property(unit, name) == value; }, absl::Seconds(10));
  }
  std::string State(const std::string& unit) const {
    return absl::StrCat(systemd_->Control({"status", "--no-pager", unit}).text,
                        systemd_->RunInside({"cat", "/run/fleet-test/log"}).text, systemd_->Log());
  }

  std::unique_ptr<NamespaceSystemd> systemd_;
};

TEST_F(ShippedUnitsTest, StartAreWatchedAndSeeWhatRootSees) {
  for (const char* unit : {"fleet-collector.service", "fleet-agent.service"}) {
    ASSERT_TRUE(Becomes(unit, "ActiveState", "active")) << State(unit);
    // The watchdog was fed since the start, more than once.
    for (int i = 0; i < 2; ++i) {
      const std::string fed = Property(unit, "WatchdogTimestampMonotonic");
      EXPECT_TRUE(WaitFor([&] { return Property(unit, "WatchdogTimestampMonotonic") != fed; }))
          << State(unit);
    }
    EXPECT_EQ(Property(unit, "NRestarts"), "0") << State(unit);
  }

  std::map<std::string, std::string> outside;
  std::map<std::string, std::string> inside;
  EXPECT_TRUE(WaitFor(
      [&] {
        const auto root = nlohmann::json::parse(
            systemd_
                ->RunInside({"/run/fleet-test/fleet-agent", "--config",
                             "/run/fleet-test/fleet-agent.yaml", "check", "-o", "json"})
                .text,
            nullptr, false);
        const auto status = nlohmann::json::parse(
            systemd_
                ->RunInside({"/run/fleet-test/fleetctl", "--insecure", "--collector",
                             "127.0.0.1:10235", "status", "-o", "json"})
                .text,
            nullptr, false);
        if (!root.is_object() || !status.is_object() || status["hosts"].empty()) return false;
        outside = Verdicts(root);
        inside = Verdicts(status["hosts"][0]);
        return outside == inside;
      },
      absl::Seconds(30)))
      << "root:\n"
      << Text(outside) << "\n\nunit:\n"
      << Text(inside) << "\n"
      << State("fleet-agent.service");
  EXPECT_EQ(inside["disk//srv"], "crit") << Text(inside);
  for (const char* check : {"postgres", "redis", "sidekiq", "minio", "tinc"}) {
    EXPECT_EQ(inside.count(check), 1U) << check << " is absent:\n" << Text(inside);
  }
  EXPECT_EQ(inside["postgres"], "ok") << Text(inside);
  EXPECT_EQ(inside["sidekiq/mailers"], "crit") << Text(inside);
}

TEST_F(ShippedUnitsTest, AnAgentAndACollectorThatHangAreRestarted) {
  for (const std::string unit : {"fleet-collector.service", "fleet-agent.service"}) {
    ASSERT_TRUE(Becomes(unit, "ActiveState", "active")) << State(unit);
    const std::string pid = Property(unit, "MainPID");
    ASSERT_EQ(systemd_->RunInside({"kill", "-STOP", pid}).exit_code, 0);
    EXPECT_TRUE(Becomes(unit, "NRestarts", "1")) << State(unit);
    EXPECT_TRUE(Becomes(unit, "ActiveState", "active")) << State(unit);
    EXPECT_NE(Property(unit, "MainPID"), pid);
  }
}

}  // namespace
}  // namespace fleet::test
