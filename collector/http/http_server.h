#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "collector/http/connections.h"
#include "collector/http/http.h"
#include "common/address.h"
#include "common/clock.h"

namespace fleet::collector {

/// What became of one request, for our own metrics.
struct HttpExchange {
  absl::string_view route;
  int status = 0;
  uint64_t body_bytes = 0;
  absl::Duration duration;  // until the client has taken the last byte, or is gone
};

/// The HTTP/1.1 server: a few threads with epoll, every connection bounded in memory and time. The
/// handler sees a request when its body is whole; one that is too long (413) or of a method that
/// nobody asks with (405) never gets there. A GET's body is not read: its answer closes the
/// connection. The one door to libmicrohttpd. Thread-safe once started.
class HttpServer {
 public:
  struct Options {
    Address listen;  // a numeric address or "localhost"; port 0 picks a free one
    unsigned threads = 2;
    ConnectionLimits limits;
    /// Called by the server's threads after each exchange; must not block.
    std::function<void(const HttpExchange&)> done;
  };
  /// Bytes of one connection's buffers: a bound on headers, and half of it is the piece in which a
  /// streamed body is made. Pages never touched cost nothing.
  static constexpr size_t kConnectionBytes = 128 << 10;
  static constexpr size_t kHeaderBytesMax = 16 << 10;
  /// Of one request, and so, times the limit of connections, of all: memory grows with what has
  /// arrived, not with what was announced. The deadline of the request holds for its body too.
  static constexpr size_t kBodyBytesMax = 64 << 10;

  /// Listens and serves; `handler` is called by several threads at once and may take a while, never
  /// forever. Errors: kInvalidArgument for an address that is not numeric; else by errno.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, HttpHandler handler,
                                                           Clock& clock);
  virtual ~HttpServer() = default;

  virtual const Address& address() const = 0;
  virtual const ConnectionTable& connections() const = 0;
  /// Takes no new connections; those being answered go on.
  virtual void StopAccepting() = 0;
};

}  // namespace fleet::collector
