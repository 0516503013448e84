#include "agent/tinc_control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kAnswerBytesMax = 16 << 20;
/// 18 is CONTROL; 3 DUMP_NODES, 5 DUMP_SUBNETS. Nothing else may ever be added here but 4, 6 and
/// 13, the other dumps: 0 stops the daemon.
constexpr absl::string_view kRequests = "18 3\n18 5\n";
constexpr absl::string_view kClosing = "\n18 5\n";

SteadyTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

absl::StatusOr<TincDump> TincControl::Dump(const std::string& socket_path, const TincPid& pid,
                                           absl::Duration timeout) {
  const SteadyTime end = SteadyAfter(Now(), timeout);
  const bool reused = fd_.valid() && connected_to_ == pid && socket_path_ == socket_path;
  if (!reused) FLEET_RETURN_IF_ERROR(Connect(socket_path, pid, end));
  absl::StatusOr<TincDump> dump = Ask(end);
  if (reused && absl::IsUnavailable(dump.status())) {
    // tincd closes what was idle for an hour, and may have restarted with the same pid.
    FLEET_RETURN_IF_ERROR(Connect(socket_path, pid, end));
    dump = Ask(end);
  }
  if (!dump.ok()) fd_.Reset();
  return dump;
}

absl::Status TincControl::Connect(const std::string& socket_path, const TincPid& pid,
                                  SteadyTime end) {
  fd_ = ScopedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_.valid()) return absl::ErrnoToStatus(errno, "socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("path too long for a socket: ", socket_path));
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    fd_.Reset();
    const std::string what = absl::StrCat("connect to ", socket_path);
    // A socket that nobody listens on, or whose backlog is full.
    if (error == ECONNREFUSED || error == EAGAIN || error == ENOENT) {
      return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(error)));  // NOLINT
    }
    return absl::ErrnoToStatus(error, what);
  }
  FLEET_RETURN_IF_ERROR(Send(absl::StrCat("0 ^", pid.cookie, " 0\n"), end));
  std::string greeting;
  while (std::count(greeting.begin(), greeting.end(), '\n') < 2) {
    const absl::Status received = ReceiveUntil("\n", end, greeting);
    if (absl::IsUnavailable(received)) {
      fd_.Reset();
      return absl::UnauthenticatedError(absl::StrCat(
          "tincd closed ", socket_path, " without a greeting: it does not take our cookie"));
    }
    FLEET_RETURN_IF_ERROR(received);
  }
  FLEET_ASSIGN_OR_RETURN(node_name_, ParseTincGreeting(greeting));
  connected_to_ = pid;
  socket_path_ = socket_path;
  return absl::OkStatus();
}

absl::StatusOr<TincDump> TincControl::Ask(SteadyTime end) {
  FLEET_RETURN_IF_ERROR(Send(kRequests, end));
  std::string answer = "\n";
  while (true) {
    const size_t before = answer.size();
    FLEET_RETURN_IF_ERROR(ReceiveUntil("\n", end, answer));
    // A tincd that refuses a dump says so in one line and sends no closing one.
    const size_t from = before < kClosing.size() ? 0 : before - kClosing.size();
    const absl::string_view news = absl::string_view(answer).substr(from);
    if (absl::EndsWith(answer, kClosing) || absl::StrContains(news, "\n18 -1\n")) break;
  }
  return ParseTincDump(answer);
}

absl::Status TincControl::Wait(short events, SteadyTime end) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(end - Now());
    if (left_ms <= 0) return absl::DeadlineExceededError("tincd does not answer on its socket");
    pollfd polled{fd_.get(), events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::min<int64_t>(left_ms, 60'000)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
  }
}

absl::Status TincControl::Send(absl::string_view text, SteadyTime end) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      text.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EINTR) {
      FLEET_RETURN_IF_ERROR(Wait(POLLOUT, end));
    } else {
      return absl::UnavailableError("tincd closed its control socket");
    }
  }
  return absl::OkStatus();
}

absl::Status TincControl::ReceiveUntil(absl::string_view closing, SteadyTime end,
                                       std::string& text) {
  char buffer[16384];
  do {
    FLEET_RETURN_IF_ERROR(Wait(POLLIN, end));
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return absl::UnavailableError("tincd closed its control socket");
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kAnswerBytesMax) {
      return absl::ResourceExhaustedError("tincd answers more than 16 MiB");
    }
  } while (!absl::EndsWith(text, closing));
  return absl::OkStatus();
}

}  // namespace fleet::agent
