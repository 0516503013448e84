#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace fleet {

/// Who signs a request (AWS Signature Version 4), and for what.
struct HttpSigner {
  std::string access_key;
  std::string secret_key;
  std::string region = "us-east-1";
  std::string service = "s3";
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // http or https; the query as MakeQuery writes it when the request is signed
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;         // sent unless the method is GET or HEAD
  std::string ca_file;      // PEM file that https certificates must lead to; empty: the system's
  bool verify_tls = true;   // false only to find out what answers, never with a secret
  std::string unix_socket;  // connect to this path, whatever the URL's host
  std::optional<HttpSigner> signer;
  absl::Duration timeout = absl::Seconds(10);  // of the whole request, redirects included
  size_t body_bytes_max = 1 << 20;             // of the reply
  int redirects_max = 0;                       // 0: a redirect is the reply
  bool reuse_connection = true;                // false: connect anew, and close afterwards
  /// Asked before each connection with the numeric address and port: why not; empty: it may. Set
  /// for a URL that somebody else gave us. Null: every address will do.
  std::function<std::string(const std::string& address, int port)> guard;
};

/// When each phase of a request ended, since it began; zero for a phase that it did not need.
struct HttpTimings {
  absl::Duration resolved;
  absl::Duration connected;
  absl::Duration tls_done;
  absl::Duration sent;
  absl::Duration first_byte;
  absl::Duration total;
};

struct HttpResponse {
  int code = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // of the last reply, in order
  std::string body;
  std::string url;      // the last one, after redirects
  std::string address;  // whom we talked to
  HttpTimings timings;
  int redirects = 0;
  bool connection_reused = false;

  /// The first header of that name, in whatever case; null without one.
  const std::string* header(absl::string_view name) const;
};

/// The door to libcurl for whoever can wait (probes cannot, and have their own in common/probe).
/// Keeps connections alive between requests. Never uses a proxy, netrc or
/// cookies. Used by one thread at a time.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  /// Sends one request and waits for the reply, whatever its code.
  ///
  /// Errors, in the words of the phase that failed ("connection refused", "TLS: …"):
  ///   kDeadlineExceeded   no complete reply within `timeout`
  ///   kUnavailable        not resolved, not connected, TLS failed, closed or garbage
  ///   kResourceExhausted  the reply is larger than `body_bytes_max`
  ///   kInvalidArgument    a URL or file of ours that cannot be used
  ///   kPermissionDenied   the guard refuses every address, in its words
  absl::StatusOr<HttpResponse> Fetch(const HttpRequest& request);

  /// As Fetch for several at once: takes as long as the slowest. Results in the requests' order.
  /// A stop ends those that are not done, with kCancelled.
  std::vector<absl::StatusOr<HttpResponse>> FetchAll(absl::Span<const HttpRequest> requests,
                                                     const std::stop_token& stop = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// `text` for a URL: everything but letters, digits and "-._~" as %XX; '/' too unless `keep_slash`.
std::string PercentEncode(absl::string_view text, bool keep_slash = false);

/// "a=1&b=%2F": sorted by name and encoded, as signatures need it.
std::string MakeQuery(std::vector<std::pair<std::string, std::string>> parameters);

/// The SHA-256 of `bytes` in lower-case hexadecimal.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace fleet
