#include "tests/support/postgres_cluster.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

constexpr absl::string_view kBin = "/usr/lib/postgresql/15/bin/";

void GiveToPostgres(const std::string& path) {
  const passwd* user = ::getpwnam("postgres");  // NOLINT(concurrency-mt-unsafe)
  FLEET_ASSERT(user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) == 0);
}

/// Runs a program as postgres to its end.
void RunAsPostgres(std::vector<std::string> argv, const std::string& output) {
  Process process(
      std::move(argv),
      {.output_path = output, .environment = {}, .user = "postgres", .working_directory = "/"});
  if (process.Wait(absl::Seconds(60)) != 0) {
    std::fprintf(stderr, "%s\n", ReadFile(output).c_str());
    FLEET_ASSERT(false && "a PostgreSQL program failed");
  }
}

/// An empty data directory, made once.
const std::string& Template() {
  static const TempDir dir;
  static const std::string data = [] {
    GiveToPostgres(dir.path());
    RunAsPostgres({absl::StrCat(kBin, "initdb"), "-D", dir / "data", "-A", "trust", "-k",
                   "--no-sync", "--locale=C.UTF-8", "--wal-segsize=1"},
                  dir / "log");
    return dir / "data";
  }();
  return data;
}

}  // namespace

bool PostgresCluster::Available() {
  return IsRoot() && std::filesystem::exists(absl::StrCat(kBin, "postgres"));
}

PostgresCluster::PostgresCluster(absl::string_view conf) : port_(FreePort()) {
  GiveToPostgres(dir_.path());
  FLEET_ASSERT(RunProgram({"cp", "-a", Template(), data()}).exit_code == 0);
  Configure(conf);
}

PostgresCluster::PostgresCluster(const PostgresCluster& primary, absl::string_view slot)
    : port_(FreePort()) {
  GiveToPostgres(dir_.path());
  RunAsPostgres({absl::StrCat(kBin, "pg_basebackup"), "-h", primary.socket_dir(), "-p",
                 absl::StrCat(primary.port()), "-U", "postgres", "-D", data(), "-R", "-S",
                 std::string(slot), "-c", "fast", "--no-sync"},
                dir_ / "log");
  Configure("");
}

PostgresCluster::~PostgresCluster() {
  if (process_ == nullptr) return;
  Signal(SIGCONT);
  process_->Kill(SIGQUIT);  // at once, without a checkpoint
  process_->Wait(absl::Seconds(10));
}

void PostgresCluster::Configure(absl::string_view conf) {
  // Later lines win; nothing on disk has to survive this test.
  std::ofstream(data() + "/postgresql.conf", std::ios::app)
      << "\nlisten_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
      << dir_.path() << "'\nfsync = off\nshared_buffers = 8MB\nmax_wal_senders = 4\n"
      << "wal_receiver_status_interval = 1s\nautovacuum_naptime = 1d\n"
      << conf << "\n";
}

void PostgresCluster::Start() {
  process_ = std::make_unique<Process>(
      std::vector<std::string>{absl::StrCat(kBin, "postgres"), "-D", data()},
      Process::Options{.output_path = dir_ / "log",
                       .environment = {},
                       .user = "postgres",
                       .working_directory = "/"});
  const bool up = WaitFor([this] {
    return RunProgram({absl::StrCat(kBin, "pg_isready"), "-q", "-h", dir_.path(), "-p",
                       absl::StrCat(port_)})
               .exit_code == 0;
  });
  if (!up) std::fprintf(stderr, "%s\n", ReadFile(dir_ / "log").c_str());
  FLEET_ASSERT(up);
}

void PostgresCluster::Stop() {
  process_->Kill(SIGINT);
  if (!process_->Wait(absl::Seconds(10)).has_value()) process_->Stop(absl::ZeroDuration());
  process_.reset();
}

void PostgresCluster::Signal(int signal) {
  // Backends lead sessions of their own, so the process group does not reach them.
  const pid_t server = process_->pid();
  ::kill(server, signal);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string stat = ReadFile(entry.path() / "stat");
    const std::vector<std::string> fields =
        absl::StrSplit(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)), ' ');
    if (fields.size() > 2 && fields[2] == absl::StrCat(server)) ::kill(pid, signal);
  }
}

std::string PostgresCluster::Sql(absl::string_view sql, absl::string_view database) const {
  const Output output = RunProgram({"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", dir_.path(),
                                    "-p", absl::StrCat(port_), "-U", "postgres", "-d",
                                    std::string(database), "-c", std::string(sql)});
  if (output.exit_code != 0) std::fprintf(stderr, "%s\n", output.text.c_str());
  FLEET_ASSERT(output.exit_code == 0);
  return output.text;
}

std::unique_ptr<Process> PostgresCluster::Session(absl::string_view script,
                                                  absl::string_view user) const {
  return std::make_unique<Process>(std::vector<std::string>{
      "sh", "-c",
      "(printf '%s\\n' \"$1\"; exec sleep 600) | psql -XAtq -h \"$2\" -p \"$3\" -U "
      "\"$4\" -d postgres",
      "sh", std::string(script), dir_.path(), absl::StrCat(port_), std::string(user)});
}

void PostgresCluster::SetHba(absl::string_view hba, absl::string_view ident) {
  WriteFile(data() + "/pg_hba.conf", hba);
  WriteFile(data() + "/pg_ident.conf", ident);
  process_->Kill(SIGHUP);
}

std::string PostgresCluster::dsn() const {
  return absl::StrCat("host=", dir_.path(), " port=", port_);
}
std::string PostgresCluster::tcp_dsn() const {
  return absl::StrCat("host=127.0.0.1 port=", port_, " sslmode=disable");
}
std::string PostgresCluster::name() const { return absl::StrCat(dir_.path(), ":", port_); }

}  // namespace fleet::test
