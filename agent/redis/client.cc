#include "agent/redis/client.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/address.h"
#include "common/escape.h"
#include "common/secret.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kHowToLogIn =
    "`fleet-agent redis-acl` prints a user to make; then set user and password_file";

// ---- hiredis builds our replies directly ------------------------------------------------------

/// Where the reply that `task` reads goes: its place in the parent's array, or a new root.
RedisReply* Place(const redisReadTask* task) {
  if (task->parent == nullptr) return new RedisReply;
  auto* parent = static_cast<RedisReply*>(task->parent->obj);
  return &parent->elements[static_cast<size_t>(task->idx)];
}

void* CreateString(const redisReadTask* task, char* text, size_t size) {
  RedisReply* reply = Place(task);
  reply->kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                   : RedisReply::Kind::kString;
  reply->text.assign(text, size);
  return reply;
}

void* CreateArray(const redisReadTask* task, int elements) {
  size_t& total = *static_cast<size_t*>(task->privdata);
  if (elements < 0 || total + static_cast<size_t>(elements) > RedisClient::kReplyElementsMax) {
    return nullptr;  // the reader calls it out of memory
  }
  total += static_cast<size_t>(elements);
  RedisReply* reply = Place(task);
  reply->kind = RedisReply::Kind::kArray;
  reply->elements.resize(static_cast<size_t>(elements));
  return reply;
}

void* CreateInteger(const redisReadTask* task, long long value) {
  RedisReply* reply = Place(task);
  reply->kind = RedisReply::Kind::kInteger;
  reply->integer = value;
  return reply;
}

void* CreateNil(const redisReadTask* task) { return Place(task); }

void FreeReply(void* reply) { delete static_cast<RedisReply*>(reply); }

redisReplyObjectFunctions kBuild = {CreateString, CreateArray, CreateInteger, CreateNil, FreeReply};

/// A command as RESP writes it, an array of strings that each say their size. hiredis would
/// allocate every command anew and print every size twice.
void AppendCommand(const RedisCommand& command, std::string& out) {
  absl::StrAppend(&out, "*", command.size(), "\r\n");
  for (const std::string& argument : command) {
    absl::StrAppend(&out, "$", argument.size(), "\r\n", argument, "\r\n");
  }
}

// ---- sockets ----------------------------------------------------------------------------------

absl::Status Unavailable(absl::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", ::strerror(error)));  // NOLINT
}

/// Waits for `events` on `fd`. Errors: kDeadlineExceeded.
absl::Status Wait(int fd, int events, SteadyTime deadline, int& seen) {
  while (true) {
    const absl::Duration left = deadline - Clock::Real().SteadyNow();
    if (left <= absl::ZeroDuration()) return absl::DeadlineExceededError("no answer in time");
    pollfd entry = {fd, static_cast<short>(events), 0};
    const int timeout_ms =
        static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60'000));
    const int ready = ::poll(&entry, 1, timeout_ms);
    if (ready < 0 && errno != EINTR) return Unavailable("poll", errno);
    if (ready > 0) {
      seen = entry.revents;
      return absl::OkStatus();
    }
  }
}

absl::Status ConnectTo(const sockaddr* address, socklen_t size, SteadyTime deadline, ScopedFd& fd) {
  fd = ScopedFd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Unavailable("socket", errno);
  if (address->sa_family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  if (::connect(fd.get(), address, size) == 0) return absl::OkStatus();
  if (errno == EACCES) {
    return absl::PermissionDeniedError("connect: Permission denied (join the socket's group)");
  }
  // A unix socket says EAGAIN when its backlog is full: nobody accepts.
  if (errno != EINPROGRESS) return Unavailable("connect", errno);
  int seen = 0;
  if (!Wait(fd.get(), POLLOUT, deadline, seen).ok()) {
    return absl::DeadlineExceededError("connect: no answer in time");
  }
  int error = 0;
  socklen_t error_size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  return error == 0 ? absl::OkStatus() : Unavailable("connect", error);
}

absl::Status ConnectUnix(const std::string& path, SteadyTime deadline, ScopedFd& fd) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(absl::StrCat("socket path too long: ", Quote(path)));
  }
  path.copy(address.sun_path, path.size());
  return ConnectTo(reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline, fd);
}

absl::Status ConnectTcp(const Address& address, SteadyTime deadline, ScopedFd& fd) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("resolve ", Quote(address.host), ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  absl::Status status = absl::UnavailableError("no address");
  for (const addrinfo* entry = found; entry != nullptr && !status.ok(); entry = entry->ai_next) {
    status = ConnectTo(entry->ai_addr, entry->ai_addrlen, deadline, fd);
  }
  return status;
}

/// An error reply that ends the conversation rather than answering a command.
absl::Status ConnectionRefusal(const RedisReply& reply) {
  for (const absl::string_view prefix :
       {"NOAUTH", "WRONGPASS", "DENIED", "ERR max number of clients", "ERR invalid password"}) {
    if (reply.Is(prefix)) return RedisErrorStatus(reply.text);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RedisErrorStatus(absl::string_view error) {
  const std::string text = OneLine(error);
  const auto starts = [error](absl::string_view prefix) { return absl::StartsWith(error, prefix); };
  if (starts("NOPERM")) {
    return absl::PermissionDeniedError(
        absl::StrCat(text, " (`fleet-agent redis-acl` prints the line that grants it)"));
  }
  if (starts("NOAUTH") || starts("WRONGPASS") || starts("ERR invalid password")) {
    return absl::PermissionDeniedError(absl::StrCat(text, " (", kHowToLogIn, ")"));
  }
  if (starts("DENIED")) return absl::PermissionDeniedError(text);  // protected mode
  if (starts("ERR max number of clients") || starts("OOM")) {
    return absl::ResourceExhaustedError(text);
  }
  if (starts("LOADING") || starts("MASTERDOWN") || starts("BUSY")) {
    return absl::UnavailableError(text);
  }
  if (starts("MISCONF")) return absl::FailedPreconditionError(text);
  return absl::InternalError(text);
}

RedisClient::RedisClient(RedisServer server, int database)
    : server_(std::move(server)), database_(database), reader_(nullptr, redisReaderFree) {}

RedisClient::~RedisClient() = default;

void RedisClient::Disconnect() {
  fd_.Reset();
  reader_.reset();
}

absl::Status RedisClient::Connect(SteadyTime deadline) {
  Disconnect();
  if (absl::StartsWith(server_.address, "/")) {
    FLEET_RETURN_IF_ERROR(ConnectUnix(server_.address, deadline, fd_));
  } else {
    auto address = ParseAddress(server_.address);
    if (!address.ok()) address = ParseAddress(absl::StrCat(server_.address, ":6379"));
    if (!address.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected host:port or /path of a socket, got ", Quote(server_.address)));
    }
    FLEET_RETURN_IF_ERROR(ConnectTcp(*address, deadline, fd_));
  }
  reader_.reset(redisReaderCreateWithFunctions(&kBuild));
  FLEET_ASSERT(reader_ != nullptr);
  reader_->privdata = &elements_;
  ++connections_;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RedisCommand>> RedisClient::Greeting() const {
  std::vector<RedisCommand> commands;
  if (!server_.password_file.empty()) {
    FLEET_ASSIGN_OR_RETURN(const std::string password, ReadSecretFile(server_.password_file));
    RedisCommand& auth = commands.emplace_back(RedisCommand{"AUTH"});
    if (!server_.user.empty()) auth.push_back(server_.user);
    auth.push_back(password);
  }
  if (database_ != 0) commands.push_back({"SELECT", absl::StrCat(database_)});
  commands.push_back({"CLIENT", "SETNAME", "fleet-agent"});
  return commands;
}

absl::Status RedisClient::TakeReplies(size_t replies_expected, std::vector<RedisReply>& replies) {
  while (replies.size() < replies_expected) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
      if (absl::StrContains(reader_->errstr, "memory")) {
        return absl::ResourceExhaustedError(
            absl::StrCat("an answer with more than ", kReplyElementsMax, " elements"));
      }
      return absl::UnavailableError(absl::StrCat("not a Redis: ", OneLine(reader_->errstr)));
    }
    if (reply == nullptr) break;
    const std::unique_ptr<RedisReply> owned(static_cast<RedisReply*>(reply));
    replies.push_back(std::move(*owned));
  }
  return absl::OkStatus();
}

absl::Status RedisClient::Exchange(absl::string_view request, size_t replies_expected,
                                   SteadyTime deadline, std::vector<RedisReply>& replies) {
  size_t received = 0;
  bool closed = false;
  while (replies.size() < replies_expected) {
    if (!request.empty()) {
      const ssize_t sent = ::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        request.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN && errno != EINTR) {
        // It closed on us, perhaps with a reason that is still to be read.
        request = {};
      }
    }
    int seen = 0;
    const int wanted = request.empty() ? POLLIN : POLLIN | POLLOUT;
    FLEET_RETURN_IF_ERROR(Wait(fd_.get(), wanted, deadline, seen));
    if ((seen & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    char buffer[16384];
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      closed = true;
      break;
    }
    received += static_cast<size_t>(got);
    if (received > kReplyBytesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("an answer of more than ", HumanBytes(kReplyBytesMax)));
    }
    redisReaderFeed(reader_.get(), buffer, static_cast<size_t>(got));
    FLEET_RETURN_IF_ERROR(TakeReplies(replies_expected, replies));
  }
  for (const RedisReply& reply : replies) FLEET_RETURN_IF_ERROR(ConnectionRefusal(reply));
  if (!closed) return absl::OkStatus();
  return absl::UnavailableError(received == 0 ? "closed the connection without an answer"
                                              : "closed the connection in the middle of an answer");
}

absl::StatusOr<std::vector<RedisReply>> RedisClient::Run(absl::Span<const RedisCommand> commands,
                                                         absl::Duration timeout) {
  const SteadyTime deadline = SteadyAfter(Clock::Real().SteadyNow(), timeout);
  std::vector<RedisReply> replies;
  // A connection kept from the last run may have been closed meanwhile (a restart, `timeout`,
  // CLIENT KILL): that is no finding, so it is tried once more with a new one.
  for (const bool kept : {fd_.valid(), false}) {
    std::string request;
    size_t greeting_size = 0;
    if (!kept) {
      if (const absl::Status status = Connect(deadline); !status.ok()) {
        Disconnect();
        return status;
      }
      const auto greeting = Greeting();
      if (!greeting.ok()) {
        Disconnect();
        return greeting.status();
      }
      greeting_size = greeting->size();
      for (const RedisCommand& command : *greeting) AppendCommand(command, request);
    }
    for (const RedisCommand& command : commands) AppendCommand(command, request);
    replies.clear();
    elements_ = 0;
    const absl::Status status =
        Exchange(request, greeting_size + commands.size(), deadline, replies);
    if (status.ok()) {
      for (size_t i = 0; i < greeting_size; ++i) {
        if (!replies[i].Is("ERR DB index") && !replies[i].Is("ERR invalid DB index")) continue;
        Disconnect();
        return absl::InvalidArgumentError(OneLine(replies[i].text));
      }
      replies.erase(replies.begin(), replies.begin() + static_cast<ptrdiff_t>(greeting_size));
      return replies;
    }
    Disconnect();
    if (!kept || !absl::IsUnavailable(status)) return status;
  }
  return absl::InternalError("not reached");
}

}  // namespace fleet::agent
