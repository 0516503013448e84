#include "tests/support/raw_http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status_macros.h"

namespace fleet::test {

RawConnection::RawConnection(uint16_t port)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  FLEET_ASSERT(fd_.valid());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    fd_.Reset();
  }
}

bool RawConnection::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string RawConnection::Receive(absl::Duration timeout, size_t size_max) {
  std::string out;
  const absl::Time end = absl::Now() + timeout;
  while (out.size() < size_max) {
    if (!fd_.valid()) break;
    pollfd ready{fd_.get(), POLLIN, 0};
    // Looked at once at least, and not a millisecond too short.
    const absl::Duration left = std::max(end - absl::Now(), absl::ZeroDuration());
    const int64_t wait = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    if (::poll(&ready, 1, static_cast<int>(wait)) <= 0) break;
    char buffer[64 << 10];
    const ssize_t got =
        ::recv(fd_.get(), buffer, std::min(sizeof(buffer), size_max - out.size()), 0);
    if (got <= 0) break;
    out.append(buffer, static_cast<size_t>(got));
  }
  return out;
}

bool RawConnection::Closed(absl::Duration timeout) {
  if (!fd_.valid()) return true;
  pollfd ready{fd_.get(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) return false;
  char byte;
  return ::recv(fd_.get(), &byte, 1, MSG_PEEK) <= 0;
}

namespace {

HttpReply Exchange(uint16_t port, const std::string& request) {
  RawConnection connection(port);
  connection.Send(request);
  const std::string text = connection.Receive(absl::Seconds(30));
  HttpReply reply;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.size() < 12) return reply;
  if (!absl::SimpleAtoi(absl::string_view(text).substr(9, 3), &reply.status)) reply.status = 0;
  reply.headers = text.substr(0, end + 2);
  reply.body = text.substr(end + 4);
  return reply;
}

std::string Head(absl::string_view method, absl::string_view target, const HttpHeaders& headers) {
  std::string head = absl::StrCat(method, " ", target, " HTTP/1.0\r\n");
  for (const auto& [name, value] : headers) absl::StrAppend(&head, name, ": ", value, "\r\n");
  return head;
}

}  // namespace

HttpReply HttpGet(uint16_t port, absl::string_view target, const HttpHeaders& headers,
                  absl::string_view method) {
  return Exchange(port, absl::StrCat(Head(method, target, headers), "\r\n"));
}

HttpReply HttpSend(uint16_t port, absl::string_view method, absl::string_view target,
                   absl::string_view body, const HttpHeaders& headers) {
  return Exchange(port, absl::StrCat(Head(method, target, headers), "Content-Length: ", body.size(),
                                     "\r\n\r\n", body));
}

}  // namespace fleet::test
