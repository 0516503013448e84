#pragma once

#include <curl/curl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/probe/probe.h"
#include "common/probe/tls.h"

namespace fleet::probe {

/// One request and its reply: what is sent, and what libcurl tells while it is under way. Stays
/// where it is: libcurl holds pointers to it.
class HttpHop {
 public:
  struct Request {
    std::string method;
    std::string url;
    std::string address;  // numeric: whom to connect to, whatever the URL's host
    int port = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    bool follows = false;    // a redirect's body is not wanted
    bool keep_body = false;  // else it is only counted
    bool http1 = false;
    bool stop_at_headers = false;  // of a 101: what follows is no HTTP
    std::string user;
    std::string password;
    AddressGuard guard;
  };
  /// When each phase ended, since the hop began; zero: not yet.
  struct Times {
    absl::Duration connected;
    absl::Duration ready;  // to send the request: connected, and TLS done where there is TLS
    absl::Duration first_byte;
    absl::Duration total;
  };

  /// `capture` is null without TLS; it must outlive this.
  HttpHop(Request request, TlsCapture* capture);
  ~HttpHop();
  HttpHop(const HttpHop&) = delete;
  HttpHop& operator=(const HttpHop&) = delete;

  CURL* handle() { return curl_; }
  const Request& request() const { return request_; }
  /// To be called when the transfer ended with `code`: what went wrong, empty for a reply.
  std::string Problem(CURLcode code);
  int os_error() const;
  Times times() const;

  int status() const { return status_; }
  double version() const;          // 1.1, 2; 0 without a reply
  int64_t content_length() const;  // -1: not said
  size_t body_bytes() const { return body_bytes_; }
  bool cut() const { return cut_; }                        // the body is longer than kBodyBytesMax
  const std::string& refusal() const { return refusal_; }  // of the guard
  std::vector<std::pair<std::string, std::string>>& headers() { return headers_; }
  const std::string* header(absl::string_view name) const;
  std::string& body() { return body_; }

 private:
  static size_t OnBody(char* bytes, size_t size, size_t count, void* self);
  static size_t OnHeader(char* bytes, size_t size, size_t count, void* self);
  static curl_socket_t OnSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static CURLcode OnTls(CURL*, void* context, void* self);

  void Prepare();
  void PrepareMethod();
  void PrepareHeaders();

  const Request request_;
  TlsCapture* const capture_;
  CURL* const curl_;
  curl_slist* header_list_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  char error_[CURL_ERROR_SIZE] = {};
  int status_ = 0;
  bool ended_early_ = false;  // by us, having seen enough
  bool cut_ = false;
  size_t body_bytes_ = 0;
  const SteadyTime begin_;
  std::optional<SteadyTime> tls_begin_;
  std::string refusal_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string body_;
};

}  // namespace fleet::probe
