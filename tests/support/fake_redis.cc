#include "tests/support/fake_redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

/// Takes "*2\r\n" or "$4\r\n" off the front; -1 when it is not whole yet.
int64_t TakeNumber(std::string& text, char kind) {
  const size_t end = text.find("\r\n");
  if (end == std::string::npos) return -1;
  int64_t number = 0;
  FLEET_ASSERT(text[0] == kind && absl::SimpleAtoi(text.substr(1, end - 1), &number));
  text.erase(0, end + 2);
  return number;
}

/// Takes one command off the front, its words joined; empty when it is not whole yet.
std::string TakeCommand(std::string& received) {
  std::string rest = received;
  std::string command;
  const int64_t words = TakeNumber(rest, '*');
  if (words < 0) return "";
  for (int64_t i = 0; i < words; ++i) {
    if (rest.empty()) return "";
    const int64_t size = TakeNumber(rest, '$');
    if (size < 0 || rest.size() < static_cast<size_t>(size) + 2) return "";
    absl::StrAppend(&command, i == 0 ? "" : " ", rest.substr(0, static_cast<size_t>(size)));
    rest.erase(0, static_cast<size_t>(size) + 2);
  }
  received = std::move(rest);
  return command;
}

}  // namespace

struct FakeRedis::State {
  std::map<std::string, std::string> answers;
  ScopedFd listener;
  ScopedFd stop;
  uint16_t port = 0;
  std::thread thread;

  struct Client {
    ScopedFd fd;
    std::string received;
  };

  /// Whether the client is still there.
  bool Serve(Client& client) const {
    char buffer[4096];
    const ssize_t got = ::recv(client.fd.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    client.received.append(buffer, static_cast<size_t>(got));
    std::string replies;
    while (true) {
      const std::string command = TakeCommand(client.received);
      if (command.empty()) break;
      const auto found = answers.find(command);
      replies += found == answers.end() ? "-ERR unknown command\r\n" : found->second;
    }
    return ::send(client.fd.get(), replies.data(), replies.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(replies.size());
  }

  void Loop() {
    std::vector<Client> clients;
    while (true) {
      std::vector<pollfd> entries = {{listener.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
      for (const Client& client : clients) entries.push_back({client.fd.get(), POLLIN, 0});
      if (::poll(entries.data(), entries.size(), -1) < 0 || entries[1].revents != 0) return;
      for (size_t i = clients.size(); i-- > 0;) {
        if (entries[i + 2].revents != 0 && !Serve(clients[i])) {
          clients.erase(clients.begin() + static_cast<ptrdiff_t>(i));
        }
      }
      if (entries[0].revents == 0) continue;
      ScopedFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd.valid()) clients.push_back({std::move(fd), ""});
    }
  }
};

FakeRedis::FakeRedis(std::map<std::string, std::string> answers)
    : state_(std::make_unique<State>()) {
  state_->answers = std::move(answers);
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
  state_->thread = std::thread([state = state_.get()] { state->Loop(); });
}

FakeRedis::~FakeRedis() {
  const uint64_t one = 1;
  FLEET_ASSERT(::write(state_->stop.get(), &one, sizeof one) == sizeof one);
  state_->thread.join();
}

std::string FakeRedis::address() const { return absl::StrCat("127.0.0.1:", state_->port); }

std::string FakeRedis::Bulk(absl::string_view text) {
  return absl::StrCat("$", text.size(), "\r\n", text, "\r\n");
}

}  // namespace fleet::test
