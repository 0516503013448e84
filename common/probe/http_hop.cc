#include "common/probe/http_hop.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errno_text.h"
#include "common/escape.h"
#include "common/probe/sockets.h"
#include "common/status_macros.h"
#include "common/version.h"

namespace fleet::probe {
namespace {

constexpr size_t kHeadersMax = 256;  // libcurl bounds their bytes

/// Sets an option of which libcurl takes a copy, or that is a number.
template <typename T>
void Set(CURL* curl, CURLoption option, T value) {
  FLEET_ASSERT(::curl_easy_setopt(curl, option, value) == CURLE_OK);
}

absl::Duration Phase(CURL* curl, CURLINFO info) {
  curl_off_t microseconds = 0;
  ::curl_easy_getinfo(curl, info, &microseconds);
  return absl::Microseconds(static_cast<int64_t>(microseconds));
}

bool IsTlsError(CURLcode code) {
  return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CIPHER ||
         code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS;
}

bool HasHeader(const std::vector<std::pair<std::string, std::string>>& headers,
               absl::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& header) {
    return absl::EqualsIgnoreCase(header.first, name);
  });
}

}  // namespace

HttpHop::HttpHop(Request request, TlsCapture* capture)
    : request_(std::move(request)),
      capture_(capture),
      curl_(::curl_easy_init()),
      begin_(Clock::Real().SteadyNow()) {
  FLEET_ASSERT(curl_ != nullptr);
  Prepare();
}

HttpHop::~HttpHop() {
  ::curl_easy_cleanup(curl_);
  ::curl_slist_free_all(header_list_);
  ::curl_slist_free_all(connect_to_);
}

void HttpHop::Prepare() {
  Set(curl_, CURLOPT_URL, request_.url.c_str());
  Set(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(curl_, CURLOPT_NOSIGNAL, 1L);
  // Not even one that the environment names; nor is it looked for there.
  Set(curl_, CURLOPT_PROXY, "");
  Set(curl_, CURLOPT_NOPROXY, "*");
  Set(curl_, CURLOPT_USERAGENT, absl::StrCat("fleet-probe/", Version()).c_str());
  Set(curl_, CURLOPT_ERRORBUFFER, error_);
  Set(curl_, CURLOPT_WRITEFUNCTION, &HttpHop::OnBody);
  Set(curl_, CURLOPT_WRITEDATA, this);
  Set(curl_, CURLOPT_HEADERFUNCTION, &HttpHop::OnHeader);
  Set(curl_, CURLOPT_HEADERDATA, this);
  Set(curl_, CURLOPT_OPENSOCKETFUNCTION, &HttpHop::OnSocket);
  Set(curl_, CURLOPT_OPENSOCKETDATA, this);
  // We watch the time, phase by phase; libcurl's own limit is only out of the way.
  Set(curl_, CURLOPT_CONNECTTIMEOUT, 3600L);
  Set(curl_, CURLOPT_FRESH_CONNECT, 1L);
  Set(curl_, CURLOPT_FORBID_REUSE, 1L);
  // Names are ours to look up: an address that the guard has seen, whatever the name says later.
  const bool v6 = absl::StrContains(request_.address, ':');
  connect_to_ = ::curl_slist_append(nullptr, absl::StrCat("::", v6 ? "[" : "", request_.address,
                                                          v6 ? "]" : "", ":", request_.port)
                                                 .c_str());
  Set(curl_, CURLOPT_CONNECT_TO, connect_to_);
  if (request_.http1) Set(curl_, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  // libcurl verifies nothing and reads no roots: TlsCapture does, and knows more of it.
  Set(curl_, CURLOPT_SSL_VERIFYPEER, 0L);
  Set(curl_, CURLOPT_SSL_VERIFYHOST, 0L);
  Set(curl_, CURLOPT_SSL_SESSIONID_CACHE, 0L);  // a resumed handshake shows no certificate
  if (capture_ != nullptr) {
    Set(curl_, CURLOPT_SSL_CTX_FUNCTION, &HttpHop::OnTls);
    Set(curl_, CURLOPT_SSL_CTX_DATA, this);
  }
  if (!request_.user.empty()) {
    Set(curl_, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    Set(curl_, CURLOPT_USERNAME, request_.user.c_str());
    Set(curl_, CURLOPT_PASSWORD, request_.password.c_str());
  }
  PrepareMethod();
  PrepareHeaders();
}

void HttpHop::PrepareMethod() {
  if (request_.method == "HEAD") {
    Set(curl_, CURLOPT_NOBODY, 1L);
  } else if (request_.method == "GET" && request_.body.empty()) {
    Set(curl_, CURLOPT_HTTPGET, 1L);
  } else if (request_.body.empty() && request_.method != "POST" && request_.method != "PUT") {
    Set(curl_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  } else {
    Set(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    Set(curl_, CURLOPT_POSTFIELDS, request_.body.c_str());
    Set(curl_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
}

void HttpHop::PrepareHeaders() {
  for (const auto& [name, value] : request_.headers) {
    // libcurl takes "Name:" for "do not send it", and "Name;" for an empty one.
    const std::string line =
        value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value);
    header_list_ = ::curl_slist_append(header_list_, line.c_str());
  }
  // Of itself it would claim a form, and ask before it sends.
  if (!HasHeader(request_.headers, "content-type")) {
    header_list_ = ::curl_slist_append(header_list_, "Content-Type:");
  }
  header_list_ = ::curl_slist_append(header_list_, "Expect:");
  Set(curl_, CURLOPT_HTTPHEADER, header_list_);
}

size_t HttpHop::OnBody(char* bytes, size_t size, size_t count, void* pointer) {
  auto& self = *static_cast<HttpHop*>(pointer);
  const size_t got = size * count;
  const size_t room = Engine::kBodyBytesMax - self.body_bytes_;
  const size_t taken = std::min(got, room);
  if (self.request_.keep_body) self.body_.append(bytes, taken);
  self.body_bytes_ += taken;
  if (taken == got) return got;
  self.cut_ = true;
  self.ended_early_ = true;
  return 0;
}

size_t HttpHop::OnHeader(char* bytes, size_t size, size_t count, void* pointer) {
  auto& self = *static_cast<HttpHop*>(pointer);
  const absl::string_view line(bytes, size * count);
  const size_t colon = line.find(':');
  if (absl::StartsWith(line, "HTTP/")) {
    self.headers_.clear();  // of a "100 Continue"
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(' ', 2));
    if (parts.size() < 2 || !absl::SimpleAtoi(parts[1], &self.status_)) self.status_ = 0;
  } else if (colon != absl::string_view::npos) {
    if (self.headers_.size() < kHeadersMax) {
      self.headers_.emplace_back(std::string(line.substr(0, colon)),
                                 std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
    }
  } else if (absl::StripAsciiWhitespace(line).empty()) {
    const bool redirect = self.status_ >= 300 && self.status_ <= 399 && self.request_.follows &&
                          self.header("location") != nullptr;
    const bool upgraded = self.status_ == 101 && self.request_.stop_at_headers;
    if (redirect || upgraded) {
      self.ended_early_ = true;
      return 0;
    }
  }
  return line.size();
}

curl_socket_t HttpHop::OnSocket(void* pointer, curlsocktype, curl_sockaddr* address) {
  auto& self = *static_cast<HttpHop*>(pointer);
  // What is connected to now, and nothing that was known before, decides.
  if (self.request_.guard != nullptr) {
    const std::string text = AddressText(address->addr);
    self.refusal_ = self.request_.guard(text, self.request_.port);
    if (!self.refusal_.empty()) return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

CURLcode HttpHop::OnTls(CURL*, void* context, void* pointer) {
  auto& self = *static_cast<HttpHop*>(pointer);
  self.tls_begin_ = Clock::Real().SteadyNow();
  self.capture_->Install(static_cast<SSL_CTX*>(context));
  return CURLE_OK;
}

int HttpHop::os_error() const {
  long number = 0;
  ::curl_easy_getinfo(curl_, CURLINFO_OS_ERRNO, &number);
  return static_cast<int>(number);
}

std::string HttpHop::Problem(CURLcode code) {
  if (code == CURLE_OK || ended_early_) return "";
  if (!refusal_.empty()) return refusal_;
  const std::string words = OneLine(error_[0] != '\0' ? error_ : ::curl_easy_strerror(code));
  if (IsTlsError(code)) {
    const bool judged = capture_ != nullptr && !capture_->verify_text().empty();
    return absl::StrCat("TLS: ", judged ? capture_->verify_text() : words);
  }
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return os_error() == 0 ? words : ErrnoText(os_error());
    case CURLE_GOT_NOTHING:
      return "Connection closed without a reply";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return absl::StrCat("Connection broken: ", words);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return "The answer is no HTTP";
    default:
      return words;
  }
}

HttpHop::Times HttpHop::times() const {
  Times times;
  times.connected = Phase(curl_, CURLINFO_CONNECT_TIME_T);
  // libcurl tells of a connection only when TLS is done too.
  if (tls_begin_.has_value()) times.connected = *tls_begin_ - begin_;
  times.ready = capture_ == nullptr ? times.connected : Phase(curl_, CURLINFO_APPCONNECT_TIME_T);
  times.first_byte = Phase(curl_, CURLINFO_STARTTRANSFER_TIME_T);
  times.total = Phase(curl_, CURLINFO_TOTAL_TIME_T);
  return times;
}

double HttpHop::version() const {
  long version = 0;
  ::curl_easy_getinfo(curl_, CURLINFO_HTTP_VERSION, &version);
  if (version == CURL_HTTP_VERSION_1_0) return 1;
  if (version == CURL_HTTP_VERSION_1_1) return 1.1;
  if (version == CURL_HTTP_VERSION_2_0) return 2;
  return 0;
}

int64_t HttpHop::content_length() const {
  const std::string* text = header("content-length");
  int64_t length = -1;
  if (text == nullptr && (status_ == 204 || status_ == 304)) return 0;  // they have no body
  return text != nullptr && absl::SimpleAtoi(*text, &length) ? length : -1;
}

const std::string* HttpHop::header(absl::string_view name) const {
  for (const auto& [key, value] : headers_) {
    if (absl::EqualsIgnoreCase(key, name)) return &value;
  }
  return nullptr;
}

}  // namespace fleet::probe
