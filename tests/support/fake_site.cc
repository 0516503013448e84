#include "tests/support/fake_site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/status_macros.h"
#include "tests/support/process.h"

namespace fleet::test {

std::string FakeConnection::ReadUntil(absl::string_view end) {
  std::string text;
  char byte = 0;
  while (text.size() < (1 << 20) && ::recv(fd_, &byte, 1, 0) == 1) {
    text.push_back(byte);
    if (text.size() >= end.size() &&
        absl::string_view(text).substr(text.size() - end.size()) == end) {
      break;
    }
  }
  return text;
}

bool FakeConnection::Write(absl::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void FakeConnection::WaitForClose() {
  char bytes[4096];
  while (::recv(fd_, bytes, sizeof(bytes), 0) > 0) {
  }
}

void FakeConnection::Proxy(uint16_t port) {
  const ScopedFd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(other.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return;
  const auto pump = [](int from, int to) {
    char bytes[4096];
    for (ssize_t got = 0; (got = ::recv(from, bytes, sizeof(bytes), 0)) > 0;) {
      if (::send(to, bytes, static_cast<size_t>(got), MSG_NOSIGNAL) != got) break;
    }
    ::shutdown(to, SHUT_RDWR);
    ::shutdown(from, SHUT_RDWR);
  };
  std::thread back(pump, other.get(), fd_);
  pump(fd_, other.get());
  back.join();
}

FakeSite::FakeSite(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  FLEET_ASSERT(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  FLEET_ASSERT(::listen(listener_.get(), 512) == 0);
  FLEET_ASSERT(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

std::unique_ptr<FakeSite> FakeSite::Http(std::function<std::string(const std::string&)> answer) {
  return std::make_unique<FakeSite>([answer = std::move(answer)](FakeConnection& connection) {
    const std::string request = connection.ReadUntil("\r\n\r\n");
    if (!request.empty()) connection.Write(answer(request));
  });
}

FakeSite::~FakeSite() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void FakeSite::Accept() {
  while (true) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    ++connections_;
    MutexLock lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd] {
      FakeConnection connection(fd);
      script_(connection);
      MutexLock closing(mutex_);
      std::erase(open_, fd);
      ::close(fd);
    });
  }
}

std::string FakeSite::url(absl::string_view path) const {
  return absl::StrCat("http://", address(), path);
}

std::string FakeSite::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::string HttpAnswer(int status, absl::string_view body, absl::string_view headers) {
  return absl::StrCat("HTTP/1.1 ", status, " Some Words\r\nContent-Length: ", body.size(), "\r\n",
                      headers, "Connection: close\r\n\r\n", body);
}

FakeCertificates::FakeCertificates() {
  std::string pattern = "/tmp/fleet-certificates-XXXXXX";
  FLEET_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  dir_ = pattern;
  const Output made = Shell(absl::StrReplaceAll(R"(cd @ && exec 2>&1 && set -e
new() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
names="subjectAltName=DNS:localhost,DNS:www.chitter.test,IP:127.0.0.1"
new ca
openssl req -x509 -key ca.key -days 400 -subj "/C=DE/O=Chitter/CN=Chitter test CA" -out ca.pem
sign() { # kind subject extension dates
  new $1
  openssl req -new -key $1.key -subj "$2" -out $1.csr
  printf '%s\n' "$3" >$1.ext
  openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile $1.ext $4 -out $1.pem
  cat ca.pem >>$1.pem
}
sign good "/C=DE/O=Chitter/OU=Web/CN=localhost" "$names" "-days 90"
sign wrong-name "/CN=other.test" "subjectAltName=DNS:other.test" "-days 90"
new expired
openssl req -new -key expired.key -subj /CN=localhost -out expired.csr
printf '%s\n' "$names" >expired.ext
faketime '2 years ago' openssl x509 -req -in expired.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile expired.ext -days 30 -out expired.pem
cat ca.pem >>expired.pem
new future
openssl req -new -key future.key -subj /CN=localhost -out future.csr
faketime '+100 days' openssl x509 -req -in future.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile expired.ext -days 30 -out future.pem
cat ca.pem >>future.pem
new self-signed
openssl req -x509 -key self-signed.key -days 90 -subj /CN=localhost -addext "$names" -out self-signed.pem
)",
                                                {{"@", dir_}}));
  if (made.exit_code != 0) std::fprintf(stderr, "%s\n", made.text.c_str());
  FLEET_ASSERT(made.exit_code == 0);
}

FakeCertificates::~FakeCertificates() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::string FakeCertificates::certificate(absl::string_view kind) const {
  return absl::StrCat(dir_, "/", kind, ".pem");
}

std::string FakeCertificates::key(absl::string_view kind) const {
  return absl::StrCat(dir_, "/", kind, ".key");
}

}  // namespace fleet::test
