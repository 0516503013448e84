#include "common/http_client.h"

#include <curl/curl.h>
#include <netdb.h>
#include <openssl/sha.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/escape.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet {
namespace {

constexpr size_t kHeadersMax = 256;  // libcurl bounds their bytes
constexpr long kConnectionsKeptMax = 8;

void InitialiseLibrary() {
  static std::once_flag once;
  std::call_once(once, [] { FLEET_ASSERT(::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

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

std::string TextInfo(CURL* curl, CURLINFO info) {
  const char* text = nullptr;
  ::curl_easy_getinfo(curl, info, &text);
  return text == nullptr ? "" : text;
}

long NumberInfo(CURL* curl, CURLINFO info) {
  long number = 0;
  ::curl_easy_getinfo(curl, info, &number);
  return number;
}

/// One request under way. Stays where it is: libcurl holds pointers to it.
struct Transfer {
  explicit Transfer(const HttpRequest& its_request)
      : request(its_request), curl(::curl_easy_init()) {
    FLEET_ASSERT(curl != nullptr);
  }
  ~Transfer() {
    ::curl_slist_free_all(header_list);
    ::curl_easy_cleanup(curl);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  const HttpRequest& request;
  CURL* const curl;
  curl_slist* header_list = nullptr;
  char error[CURL_ERROR_SIZE] = {};
  HttpResponse response;
  bool body_too_large = false;
  std::string refusal;  // of the guard
  std::optional<CURLcode> result;
};

size_t OnBody(char* bytes, size_t size, size_t count, void* pointer) {
  auto& transfer = *static_cast<Transfer*>(pointer);
  const size_t got = size * count;
  if (transfer.response.body.size() + got > transfer.request.body_bytes_max) {
    transfer.body_too_large = true;
    return 0;
  }
  transfer.response.body.append(bytes, got);
  return got;
}

size_t OnHeader(char* bytes, size_t size, size_t count, void* pointer) {
  auto& transfer = *static_cast<Transfer*>(pointer);
  const absl::string_view line(bytes, size * count);
  std::vector<std::pair<std::string, std::string>>& headers = transfer.response.headers;
  const size_t colon = line.find(':');
  if (absl::StartsWith(line, "HTTP/")) {
    headers.clear();  // of a redirect or a "100 Continue"
  } else if (colon != absl::string_view::npos && headers.size() < kHeadersMax) {
    headers.emplace_back(std::string(line.substr(0, colon)),
                         std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  return line.size();
}

/// Called instead of socket(2), for each address that is tried.
curl_socket_t OnSocket(void* pointer, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(pointer);
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  int number = 0;
  const bool known = ::getnameinfo(&address->addr, address->addrlen, host, sizeof(host), port,
                                   sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0;
  (void)absl::SimpleAtoi(port, &number);
  transfer.refusal =
      known ? transfer.request.guard(host, number) : "an address that cannot be read";
  if (!transfer.refusal.empty()) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// Refuses what would end a header early and begin another.
bool IsHeaderText(absl::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

absl::Status AddHeaders(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  std::vector<std::pair<std::string, std::string>> headers = request.headers;
  if (request.signer) {
    headers.emplace_back("x-amz-content-sha256", Sha256Hex(request.body));
    // libcurl would claim a form, and sign that.
    const bool has_type = std::any_of(headers.begin(), headers.end(), [](const auto& header) {
      return absl::EqualsIgnoreCase(header.first, "Content-Type");
    });
    if (!request.body.empty() && !has_type)
      headers.emplace_back("Content-Type", "application/octet-stream");
  }
  for (const auto& [name, value] : headers) {
    if (!IsHeaderText(name) || !IsHeaderText(value)) {
      return absl::InvalidArgumentError(absl::StrCat("header ", Quote(name), " has a line break"));
    }
    transfer.header_list =
        ::curl_slist_append(transfer.header_list, absl::StrCat(name, ": ", value).c_str());
  }
  Set(transfer.curl, CURLOPT_HTTPHEADER, transfer.header_list);
  return absl::OkStatus();
}

void SetMethod(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  if (request.method == "HEAD") {
    Set(transfer.curl, CURLOPT_NOBODY, 1L);
  } else if (request.method == "GET") {
    Set(transfer.curl, CURLOPT_HTTPGET, 1L);
  } else if (request.body.empty() && request.method != "POST" && request.method != "PUT") {
    Set(transfer.curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else {
    Set(transfer.curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    Set(transfer.curl, CURLOPT_POSTFIELDS, request.body.c_str());
    if (request.method != "POST") {
      Set(transfer.curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  }
}

void Sign(Transfer& transfer) {
  const HttpSigner& signer = *transfer.request.signer;
  const std::string what = absl::StrCat("aws:amz:", signer.region, ":", signer.service);
  Set(transfer.curl, CURLOPT_AWS_SIGV4, what.c_str());
  Set(transfer.curl, CURLOPT_USERNAME, signer.access_key.c_str());
  Set(transfer.curl, CURLOPT_PASSWORD, signer.secret_key.c_str());
}

absl::Status Prepare(Transfer& transfer) {
  const HttpRequest& request = transfer.request;
  CURL* const curl = transfer.curl;
  Set(curl, CURLOPT_URL, request.url.c_str());
  Set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  Set(curl, CURLOPT_NOSIGNAL, 1L);
  Set(curl, CURLOPT_PROXY, "");  // not even one that the environment names
  Set(curl, CURLOPT_USERAGENT, "fleet");
  Set(curl, CURLOPT_ERRORBUFFER, transfer.error);
  Set(curl, CURLOPT_WRITEFUNCTION, OnBody);
  Set(curl, CURLOPT_WRITEDATA, &transfer);
  Set(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  Set(curl, CURLOPT_HEADERDATA, &transfer);
  Set(curl, CURLOPT_PRIVATE, &transfer);
  // Zero would mean forever.
  const int64_t timeout_ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(request.timeout));
  Set(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  Set(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout_ms));
  Set(curl, CURLOPT_FOLLOWLOCATION, request.redirects_max > 0 ? 1L : 0L);
  Set(curl, CURLOPT_MAXREDIRS, static_cast<long>(request.redirects_max));
  Set(curl, CURLOPT_SSL_VERIFYPEER, request.verify_tls ? 1L : 0L);
  Set(curl, CURLOPT_SSL_VERIFYHOST, request.verify_tls ? 2L : 0L);
  if (!request.ca_file.empty()) Set(curl, CURLOPT_CAINFO, request.ca_file.c_str());
  if (!request.unix_socket.empty()) {
    Set(curl, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  }
  if (!request.reuse_connection) {
    Set(curl, CURLOPT_FRESH_CONNECT, 1L);
    Set(curl, CURLOPT_FORBID_REUSE, 1L);
  }
  if (request.guard != nullptr) {
    Set(curl, CURLOPT_OPENSOCKETFUNCTION, OnSocket);
    Set(curl, CURLOPT_OPENSOCKETDATA, &transfer);
  }
  SetMethod(transfer);
  if (request.signer) Sign(transfer);
  return AddHeaders(transfer);
}

/// Where a request that ran out of time was.
absl::string_view SlowPhase(Transfer& transfer) {
  CURL* const curl = transfer.curl;
  if (Phase(curl, CURLINFO_STARTTRANSFER_TIME_T) > absl::ZeroDuration()) {
    return "in the middle of the reply";
  }
  if (Phase(curl, CURLINFO_PRETRANSFER_TIME_T) > absl::ZeroDuration()) {
    return "waiting for a reply";
  }
  if (Phase(curl, CURLINFO_CONNECT_TIME_T) > absl::ZeroDuration()) return "in the TLS handshake";
  if (Phase(curl, CURLINFO_NAMELOOKUP_TIME_T) > absl::ZeroDuration()) return "connecting";
  return "resolving the name";
}

std::string CurlWords(const Transfer& transfer) {
  return OneLine(transfer.error[0] != '\0' ? transfer.error
                                           : ::curl_easy_strerror(*transfer.result));
}

std::string ConnectWords(Transfer& transfer) {
  const long os_error = NumberInfo(transfer.curl, CURLINFO_OS_ERRNO);
  if (os_error == ECONNREFUSED) return "connection refused";
  if (os_error == 0) return CurlWords(transfer);
  return std::string(absl::ErrnoToStatus(static_cast<int>(os_error), "cannot connect").message());
}

absl::Status ToStatus(Transfer& transfer) {
  if (*transfer.result != CURLE_OK && !transfer.refusal.empty()) {
    return absl::PermissionDeniedError(transfer.refusal);
  }
  switch (*transfer.result) {
    case CURLE_OK:
      return absl::OkStatus();
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(absl::StrCat("no reply within ",
                                                      HumanDuration(transfer.request.timeout), " (",
                                                      SlowPhase(transfer), ")"));
    case CURLE_WRITE_ERROR:
      if (!transfer.body_too_large) break;
      return absl::ResourceExhaustedError(
          absl::StrCat("the reply is larger than ",
                       HumanBytes(static_cast<double>(transfer.request.body_bytes_max))));
    case CURLE_COULDNT_RESOLVE_HOST:
      return absl::UnavailableError(absl::StrCat("cannot resolve: ", CurlWords(transfer)));
    case CURLE_COULDNT_CONNECT:
      return absl::UnavailableError(ConnectWords(transfer));
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return absl::UnavailableError(absl::StrCat("TLS: ", CurlWords(transfer)));
    case CURLE_SSL_CACERT_BADFILE:
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read the CA file ", Quote(transfer.request.ca_file)));
    case CURLE_GOT_NOTHING:
      return absl::UnavailableError("the connection was closed without a reply");
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return absl::UnavailableError(
          absl::StrCat("the connection broke in the middle: ", CurlWords(transfer)));
    case CURLE_UNSUPPORTED_PROTOCOL:
      if (absl::StrContains(transfer.error, "HTTP/0.9")) {
        return absl::UnavailableError("what answers does not speak HTTP");
      }
      return absl::InvalidArgumentError(CurlWords(transfer));
    case CURLE_WEIRD_SERVER_REPLY:
      return absl::UnavailableError(absl::StrCat("the reply is no HTTP: ", CurlWords(transfer)));
    case CURLE_URL_MALFORMAT:
      return absl::InvalidArgumentError(
          absl::StrCat("no usable URL: ", Quote(transfer.request.url)));
    default:
      break;
  }
  return absl::UnavailableError(CurlWords(transfer));
}

absl::StatusOr<HttpResponse> Finish(Transfer& transfer) {
  CURL* const curl = transfer.curl;
  FLEET_RETURN_IF_ERROR(ToStatus(transfer));
  HttpResponse& response = transfer.response;
  response.code = static_cast<int>(NumberInfo(curl, CURLINFO_RESPONSE_CODE));
  response.redirects = static_cast<int>(NumberInfo(curl, CURLINFO_REDIRECT_COUNT));
  response.connection_reused = NumberInfo(curl, CURLINFO_NUM_CONNECTS) == 0;
  response.url = TextInfo(curl, CURLINFO_EFFECTIVE_URL);
  response.address = TextInfo(curl, CURLINFO_PRIMARY_IP);
  response.timings = {.resolved = Phase(curl, CURLINFO_NAMELOOKUP_TIME_T),
                      .connected = Phase(curl, CURLINFO_CONNECT_TIME_T),
                      .tls_done = Phase(curl, CURLINFO_APPCONNECT_TIME_T),
                      .sent = Phase(curl, CURLINFO_PRETRANSFER_TIME_T),
                      .first_byte = Phase(curl, CURLINFO_STARTTRANSFER_TIME_T),
                      .total = Phase(curl, CURLINFO_TOTAL_TIME_T)};
  return std::move(response);
}

}  // namespace

struct HttpClient::Impl {
  Impl() {
    InitialiseLibrary();
    multi = ::curl_multi_init();
    FLEET_ASSERT(multi != nullptr);
    ::curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kConnectionsKeptMax);
  }
  ~Impl() { ::curl_multi_cleanup(multi); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Runs every transfer that was added to its end: each has a timeout of its own.
  void Run(const std::stop_token& stop) const {
    const std::stop_callback wake(stop, [this] { ::curl_multi_wakeup(multi); });
    int running = 1;
    while (running > 0 && !stop.stop_requested()) {
      if (::curl_multi_perform(multi, &running) != CURLM_OK) return;
      if (running > 0) ::curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
    }
    int left = 0;
    while (const CURLMsg* message = ::curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      char* transfer = nullptr;
      ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      reinterpret_cast<Transfer*>(transfer)->result = message->data.result;
    }
  }

  CURLM* multi;  // keeps the connections
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

absl::StatusOr<HttpResponse> HttpClient::Fetch(const HttpRequest& request) {
  return std::move(FetchAll({request}).front());
}

std::vector<absl::StatusOr<HttpResponse>> HttpClient::FetchAll(
    absl::Span<const HttpRequest> requests, const std::stop_token& stop) {
  std::vector<std::unique_ptr<Transfer>> transfers;
  std::vector<absl::Status> prepared;
  for (const HttpRequest& request : requests) {
    transfers.push_back(std::make_unique<Transfer>(request));
    prepared.push_back(Prepare(*transfers.back()));
    if (prepared.back().ok()) ::curl_multi_add_handle(impl_->multi, transfers.back()->curl);
  }
  impl_->Run(stop);
  std::vector<absl::StatusOr<HttpResponse>> responses;
  for (size_t i = 0; i < transfers.size(); ++i) {
    Transfer& transfer = *transfers[i];
    if (prepared[i].ok() && !transfer.result && stop.stop_requested()) {
      prepared[i] = absl::CancelledError("stopped");
    }
    if (prepared[i].ok() && !transfer.result) prepared[i] = absl::InternalError("libcurl gave up");
    if (prepared[i].ok()) {
      responses.push_back(Finish(transfer));
    } else {
      responses.push_back(prepared[i]);
    }
    ::curl_multi_remove_handle(impl_->multi, transfer.curl);
  }
  return responses;
}

const std::string* HttpResponse::header(absl::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, name)) return &value;
  }
  return nullptr;
}

std::string PercentEncode(absl::string_view text, bool keep_slash) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("-._~", c) || (c == '/' && keep_slash)) {
      encoded.push_back(c);
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X", byte);
    }
  }
  return encoded;
}

std::string MakeQuery(std::vector<std::pair<std::string, std::string>> parameters) {
  for (auto& [name, value] : parameters) {
    name = PercentEncode(name);
    value = PercentEncode(value);
  }
  std::sort(parameters.begin(), parameters.end());
  return absl::StrJoin(parameters, "&", absl::PairFormatter("="));
}

std::string Sha256Hex(absl::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ::SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

}  // namespace fleet
