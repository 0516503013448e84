#include "tests/support/redis_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/parse/redis_info.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::test {

TestRedis::TestRedis(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  Start();
}

std::string TestRedis::address() const { return absl::StrCat("127.0.0.1:", port_); }

void TestRedis::Start() {
  process_.reset();
  std::vector<std::string> argv = {"redis-server",
                                   "--port",
                                   absl::StrCat(port_),
                                   "--bind",
                                   "127.0.0.1",
                                   "--dir",
                                   dir_.path(),
                                   "--unixsocket",
                                   socket(),
                                   "--save",
                                   ""};
  argv.insert(argv.end(), arguments_.begin(), arguments_.end());
  process_ = std::make_unique<Process>(
      argv,
      Process::Options{
          .output_path = dir_ / "log", .environment = {}, .user = {}, .working_directory = {}});
  // The unix socket is the admin's: tests may forbid TCP everything.
  admin_ = std::make_unique<agent::RedisClient>(
      agent::RedisServer{.name = "", .address = socket(), .user = "", .password_file = ""});
  const bool ready = WaitFor([this] {
    const auto pong = admin_->Run({{{"PING"}}}, absl::Seconds(1));
    return absl::IsPermissionDenied(pong.status()) || (pong.ok() && !pong->front().Is("LOADING"));
  });
  if (!ready) std::fprintf(stderr, "redis-server: %s\n", ReadFile(dir_ / "log").c_str());
  FLEET_ASSERT(ready);
}

std::vector<agent::RedisReply> TestRedis::DoAll(const std::vector<agent::RedisCommand>& commands) {
  auto replies = admin_->Run(commands, absl::Seconds(60));
  if (!replies.ok()) std::fprintf(stderr, "redis: %s\n", replies.status().ToString().c_str());
  FLEET_ASSERT(replies.ok());
  return *std::move(replies);
}

agent::RedisReply TestRedis::Do(agent::RedisCommand command) {
  return DoAll({std::move(command)}).front();
}

double TestRedis::Info(absl::string_view field) {
  const auto info = agent::ParseRedisInfo(Do({"INFO"}).text);
  FLEET_ASSERT(info.ok());
  return info->NumberOrZero(field);
}

struct FakeServer::State {
  ScopedFd listener;
  ScopedFd stop;
  uint16_t port = 0;
  std::thread thread;
};

FakeServer::FakeServer(std::string greeting, bool close) : state_(std::make_unique<State>()) {
  state_->listener = ScopedFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  state_->stop = ScopedFd(::eventfd(0, EFD_CLOEXEC));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  FLEET_ASSERT(::bind(state_->listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  FLEET_ASSERT(::listen(state_->listener.get(), 16) == 0);
  ::getsockname(state_->listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  state_->port = ntohs(address.sin_port);
  State& state = *state_;
  state.thread = std::thread([&state, greeting, close] {
    std::vector<ScopedFd> open;
    while (true) {
      pollfd entries[] = {{state.listener.get(), POLLIN, 0}, {state.stop.get(), POLLIN, 0}};
      if (::poll(entries, 2, -1) < 0 || entries[1].revents != 0) return;
      ScopedFd client(::accept(state.listener.get(), nullptr, nullptr));
      if (!client.valid()) continue;
      pollfd asked = {client.get(), POLLIN, 0};
      ::poll(&asked, 1, 1000);
      char buffer[4096];
      if (::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT) < 0) continue;
      ::send(client.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL);
      if (!close) open.push_back(std::move(client));
    }
  });
}

FakeServer::~FakeServer() {
  const uint64_t one = 1;
  FLEET_ASSERT(::write(state_->stop.get(), &one, sizeof one) == sizeof one);
  state_->thread.join();
}

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", state_->port); }

}  // namespace fleet::test
