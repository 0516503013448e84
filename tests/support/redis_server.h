#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/redis/client.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// A redis-server of its own: in a temporary directory, on a free port and a unix socket, saving
/// nothing unless told to. Stopped at the end of its life.
class TestRedis {
 public:
  explicit TestRedis(std::vector<std::string> arguments = {});

  static bool Installed() { return HasProgram("redis-server"); }

  uint16_t port() const { return port_; }
  std::string address() const;
  std::string socket() const { return dir_ / "redis.sock"; }
  std::string path(absl::string_view name) const { return dir_ / name; }
  pid_t pid() const { return process_->pid(); }

  /// Starts it again after Stop, on the same port and with its old data if it saved any.
  void Start();
  void Stop() { process_.reset(); }
  void Signal(int signal) { process_->Kill(signal); }

  /// Runs one command as its admin. Aborts when there is no answer.
  agent::RedisReply Do(agent::RedisCommand command);
  std::vector<agent::RedisReply> DoAll(const std::vector<agent::RedisCommand>& commands);
  /// A number from INFO.
  double Info(absl::string_view field);

 private:
  TempDir dir_;
  const uint16_t port_ = FreePort();
  const std::vector<std::string> arguments_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<agent::RedisClient> admin_;
};

/// A TCP server that sends `greeting` to whoever connects and then, with `close`, hangs up as soon
/// as it was sent anything. For daemons that speak garbage or die in mid-sentence.
class FakeServer {
 public:
  FakeServer(std::string greeting, bool close);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string address() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleet::test
