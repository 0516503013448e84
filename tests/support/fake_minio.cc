#include "tests/support/fake_minio.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

#ifndef FLEET_SOURCE_DIR
#error "FLEET_SOURCE_DIR names the checkout"
#endif

namespace fleet::test {
namespace {

constexpr char kPython[] = "/usr/bin/python3";
constexpr char kScript[] = FLEET_SOURCE_DIR "/tests/support/fake_minio.py";

bool Accepts(uint16_t port) {
  const ScopedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

std::string FakeMinio::Missing() {
  static const bool works =
      RunProgram({kPython, "-c", "import botocore.auth, botocore.awsrequest"}).exit_code == 0;
  return works ? "" : "python3-botocore";
}

FakeMinio::FakeMinio(uint16_t port) : port_(port == 0 ? FreePort() : port) {
  Set("{}");
  Process::Options options;
  options.output_path = dir_ / "log";
  process_ = std::make_unique<Process>(
      std::vector<std::string>{kPython, kScript, "--port", absl::StrCat(port_), "--state",
                               dir_ / "state", "--fixtures",
                               FLEET_SOURCE_DIR "/tests/fixtures/minio"},
      options);
  const bool up = WaitFor([this] { return Accepts(port_) || !process_->Running(); });
  if (!up || !process_->Running()) std::fprintf(stderr, "%s\n", Log().c_str());
  FLEET_ASSERT(up && process_->Running());
}

std::string FakeMinio::url(absl::string_view path) const {
  return absl::StrCat("http://127.0.0.1:", port_, path);
}

void FakeMinio::Set(absl::string_view json) {
  // Renamed into place: it never reads half of it.
  WriteFile(dir_ / "state.new", json);
  FLEET_ASSERT(std::rename((dir_ / "state.new").c_str(), (dir_ / "state").c_str()) == 0);
}

std::string FakeMinio::Token(const std::string& secret_key) {
  const Output output = RunProgram({kPython, kScript, "--print-token", "fleet-access", secret_key});
  FLEET_ASSERT(output.exit_code == 0);
  return std::string(absl::StripAsciiWhitespace(output.text));
}

std::string FakeMinio::Log() const { return ReadFile(dir_ / "log"); }

}  // namespace fleet::test
