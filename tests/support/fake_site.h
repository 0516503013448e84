#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/mutex.h"
#include "common/scoped_fd.h"

namespace fleet::test {

/// One connection of a FakeSite, in a thread of its own.
class FakeConnection {
 public:
  explicit FakeConnection(int fd) : fd_(fd) {}
  /// What arrives until `end` was seen, included; less when the other end closed.
  std::string ReadUntil(absl::string_view end);
  /// False when the other end is gone.
  bool Write(absl::string_view text);
  /// Hands the bytes on to what listens on `port` of 127.0.0.1 and back, until an end closes.
  void Proxy(uint16_t port);
  /// Blocks until the other end closes.
  void WaitForClose();

 private:
  const int fd_;
};

/// A server on 127.0.0.1 that says exactly what a test tells it to.
class FakeSite {
 public:
  using Script = std::function<void(FakeConnection&)>;

  /// `script` is run for each connection, which is closed behind it.
  explicit FakeSite(Script script);
  /// A site of HTTP/1.1: `answer` makes the whole reply to a request's head.
  static std::unique_ptr<FakeSite> Http(std::function<std::string(const std::string&)> answer);
  ~FakeSite();

  uint16_t port() const { return port_; }
  std::string url(absl::string_view path = "/") const;
  std::string address() const;
  int connections() const { return connections_; }

 private:
  void Accept();

  const Script script_;
  ScopedFd listener_;
  uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  Mutex mutex_;
  std::vector<int> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

/// "HTTP/1.1 200 OK" and what belongs to it.
std::string HttpAnswer(int status, absl::string_view body, absl::string_view headers = "");

/// Certificates as servers have them, made with openssl.
class FakeCertificates {
 public:
  FakeCertificates();
  ~FakeCertificates();

  std::string ca() const { return dir_ + "/ca.pem"; }
  /// "good", "expired", "future", "self-signed", "wrong-name", each for localhost and 127.0.0.1
  /// (but for the wrong one): PEM files of the certificate, followed by its issuer's, and of its
  /// key.
  std::string certificate(absl::string_view kind) const;
  std::string key(absl::string_view kind) const;
  const std::string& dir() const { return dir_; }

 private:
  std::string dir_;
};

}  // namespace fleet::test
