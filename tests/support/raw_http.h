#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/scoped_fd.h"

namespace fleet::test {

/// A client connection that sends exactly the bytes it is told: for what no HTTP library would do.
class RawConnection {
 public:
  /// To 127.0.0.1. When nobody listens it is a connection closed from the start.
  explicit RawConnection(uint16_t port);

  /// Whether everything could be sent.
  bool Send(absl::string_view bytes);
  /// What arrives until the other end closes, `size_max` bytes or `timeout`.
  std::string Receive(absl::Duration timeout = absl::Seconds(10), size_t size_max = 1 << 30);
  /// Whether the other end has closed, looked at within `timeout`.
  bool Closed(absl::Duration timeout);

 private:
  ScopedFd fd_;
};

struct HttpReply {
  int status = 0;  // 0: no answer
  std::string headers;
  std::string body;
};
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// One HTTP/1.0 request (so the body is not chunked) to 127.0.0.1.
HttpReply HttpGet(uint16_t port, absl::string_view target, const HttpHeaders& headers = {},
                  absl::string_view method = "GET");
/// The same with a body.
HttpReply HttpSend(uint16_t port, absl::string_view method, absl::string_view target,
                   absl::string_view body, const HttpHeaders& headers = {});

}  // namespace fleet::test
