#include "collector/http/http_server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <cstdarg>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "collector/http/error_answer.h"
#include "collector/http/listen.h"
#include "collector/http/target.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// An answer that is made by others while its connection is suspended. Shared with them.
struct Later {
  Mutex mutex;
  MHD_Connection* connection ABSL_GUARDED_BY(mutex) = nullptr;  // suspended; null: not any more
  std::optional<HttpResponse> answer ABSL_GUARDED_BY(mutex);

  /// The first one counts.
  void Give(HttpResponse response) {
    MutexLock lock(mutex);
    if (connection == nullptr) return;
    answer = std::move(response);
    MHD_resume_connection(std::exchange(connection, nullptr));
  }
  HttpResponse Take() {
    MutexLock lock(mutex);
    FLEET_ASSERT(answer.has_value());  // it was resumed by Give
    return *std::move(answer);
  }
};

/// One request and its answer, from the request line until the client has it.
struct Exchange {
  std::string target;
  SteadyTime begin;
  bool headers_seen = false;
  std::string body;
  bool body_too_long = false;  // the rest is dropped as it comes
  bool waited = false;         // for room among the streams
  std::shared_ptr<Later> later;
  std::shared_ptr<char> open;  // ends with this
  HttpExchange result;
};

/// What libmicrohttpd pulls a streamed body from.
struct Stream {
  std::unique_ptr<BodySource> source;
  Exchange* exchange;  // outlives the response: it ends with the request's completion
  ConnectionTable* table;
  ConnectionTable::Id connection;
};

/// What the headers say of the body that follows.
struct Announced {
  bool body = false;
  bool too_long = false;  // never set for a chunked one, whose length only shows
};

Announced AnnouncedBody(MHD_Connection* connection) {
  const char* length =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const char* encoding =
      MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  uint64_t bytes = 0;
  // What is no number the library has refused.
  if (length != nullptr && !absl::SimpleAtoi(length, &bytes)) bytes = UINT64_MAX;
  return {encoding != nullptr || bytes > 0, bytes > HttpServer::kBodyBytesMax};
}

/// Those whose body is read.
constexpr absl::string_view kBodyMethods[] = {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
constexpr char kAllMethods[] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

bool ReadsBody(absl::string_view method) { return absl::c_linear_search(kBodyMethods, method); }

bool IsGet(absl::string_view method) {
  return method == MHD_HTTP_METHOD_GET || method == MHD_HTTP_METHOD_HEAD;
}

ConnectionTable::Id IdOf(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? 0 : reinterpret_cast<ConnectionTable::Id>(info->socket_context);
}

/// How often it is looked for room while somebody waits for it.
constexpr absl::Duration kWaitingLook = absl::Milliseconds(5);
/// At the end, for the last answers to leave.
constexpr absl::Duration kLastAnswers = absl::Milliseconds(500);

void ShutSocket(int fd) { ::shutdown(fd, SHUT_RDWR); }

class MicroHttpServer final : public HttpServer {
 public:
  MicroHttpServer(Options options, HttpHandler handler, Clock& clock)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        clock_(clock),
        table_(options_.limits, clock, ShutSocket) {}

  ~MicroHttpServer() override {
    StopAccepting();
    reaper_ = {};  // joined before the connections it looks at go
    ResumeWaiting(true);
    AnswerDeferred();
    if (daemon_ == nullptr) return;
    (void)listener_.fd.Release();  // the library closes it
    MHD_stop_daemon(daemon_);
  }

  absl::Status Listen();

  const Address& address() const override { return listener_.address; }
  const ConnectionTable& connections() const override { return table_; }
  void StopAccepting() override {
    // Refuses new clients at once. Not by MHD_quiesce_daemon, which aborts the process when one of
    // the library's threads is awake at that moment and takes the socket out of its epoll set
    // first.
    if (daemon_ != nullptr && listener_.fd.valid()) ::shutdown(listener_.fd.get(), SHUT_RDWR);
  }

 private:
  static void* OnTarget(void* self, const char* uri, MHD_Connection* connection);
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* url,
                              const char* method, const char* version, const char* upload,
                              size_t* upload_size, void** context);
  static void OnCompleted(void* self, MHD_Connection* connection, void** context,
                          MHD_RequestTerminationCode code);
  static void OnConnection(void* self, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code);
  static ssize_t OnRead(void* stream, uint64_t position, char* out, size_t size);

  HttpResponse Answer(MHD_Connection* connection, absl::string_view method,
                      const Exchange& exchange);
  MHD_Result Queue(MHD_Connection* connection, HttpResponse response, Exchange& exchange);
  /// Suspends the connection until somebody has made its answer.
  MHD_Result Defer(MHD_Connection* connection, HttpResponse response, Exchange& exchange);
  /// Answers those who still wait for others, before the end.
  void AnswerDeferred();
  /// Lets the connection wait until there is room for one more stream; then it is asked for its
  /// answer anew.
  MHD_Result Wait(MHD_Connection* connection, Exchange& exchange);
  /// Lets those go on that there is room for, or `all`, who are then refused.
  void ResumeWaiting(bool all);
  void Reap(const std::stop_token& stop);

  const Options options_;
  const HttpHandler handler_;
  Clock& clock_;
  ConnectionTable table_;
  Listener listener_;
  MHD_Daemon* daemon_ = nullptr;
  Mutex reaper_mutex_;
  std::condition_variable_any reaper_wake_;
  std::deque<MHD_Connection*> waiting_ ABSL_GUARDED_BY(reaper_mutex_);  // suspended ones
  bool stopping_ ABSL_GUARDED_BY(reaper_mutex_) = false;
  /// An answer that somebody else makes, and the request that it is for.
  struct Deferred {
    std::weak_ptr<Later> later;
    std::weak_ptr<char> open;  // until the request has ended
  };
  std::vector<Deferred> deferred_ ABSL_GUARDED_BY(reaper_mutex_);
  std::jthread reaper_;
};

void LogFromLibrary(void*, const char* format, va_list arguments) {
  char line[256];
  std::vsnprintf(line, sizeof(line), format, arguments);
  log::Debug("http server", {{"message", absl::string_view(line)}});
}

/// Targets are decoded by ParseRequestTarget, which knows segments from slashes.
size_t KeepEscapes(void*, MHD_Connection*, char* text) { return std::string(text).size(); }

absl::Status MicroHttpServer::Listen() {
  absl::StatusOr<Listener> listener = ListenTcp(options_.listen);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  // The table decides who stays; the library's own limit only has to be above it, for every thread.
  const unsigned threads = options_.threads;
  const unsigned backstop = (static_cast<unsigned>(options_.limits.total) * 2 + 64) * threads;
  const auto timeout = static_cast<unsigned>(absl::ToInt64Seconds(options_.limits.idle)) + 1;
  daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0,
      nullptr, nullptr, &MicroHttpServer::OnRequest, this,                 //
      MHD_OPTION_EXTERNAL_LOGGER, &LogFromLibrary, nullptr,                //
      MHD_OPTION_LISTEN_SOCKET, listener_.fd.get(),                        //
      MHD_OPTION_THREAD_POOL_SIZE, threads,                                //
      MHD_OPTION_CONNECTION_LIMIT, backstop,                               //
      MHD_OPTION_CONNECTION_TIMEOUT, timeout,                              //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,                //
      MHD_OPTION_STRICT_FOR_CLIENT, 1,                                     //
      MHD_OPTION_UNESCAPE_CALLBACK, &KeepEscapes, nullptr,                 //
      MHD_OPTION_URI_LOG_CALLBACK, &MicroHttpServer::OnTarget, this,       //
      MHD_OPTION_NOTIFY_COMPLETED, &MicroHttpServer::OnCompleted, this,    //
      MHD_OPTION_NOTIFY_CONNECTION, &MicroHttpServer::OnConnection, this,  //
      MHD_OPTION_END);
  if (daemon_ == nullptr) return absl::InternalError("cannot start the HTTP server's threads");
  reaper_ = std::jthread([this](const std::stop_token& stop) { Reap(stop); });
  return absl::OkStatus();
}

void MicroHttpServer::Reap(const std::stop_token& stop) {
  const absl::Duration period = std::min(absl::Seconds(1), options_.limits.request / 4);
  SteadyTime next_look = clock_.SteadyNow();
  while (!stop.stop_requested()) {
    {
      MutexLock lock(reaper_mutex_);
      const auto asked = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(reaper_mutex_) {
        return !waiting_.empty();
      };
      clock_.WaitUntil(reaper_mutex_, reaper_wake_, stop, next_look, asked);
      // Room comes with the end of another answer, or when one stalls.
      const SteadyTime soon = SteadyAfter(clock_.SteadyNow(), kWaitingLook);
      if (!waiting_.empty()) {
        clock_.WaitUntil(reaper_mutex_, reaper_wake_, stop, soon, [] { return false; });
      }
    }
    ResumeWaiting(false);
    if (clock_.SteadyNow() < next_look) continue;
    table_.ShutOverdue();
    next_look = SteadyAfter(clock_.SteadyNow(), period);
  }
}

MHD_Result MicroHttpServer::Wait(MHD_Connection* connection, Exchange& exchange) {
  MutexLock lock(reaper_mutex_);
  if (stopping_) return MHD_NO;
  MHD_suspend_connection(connection);
  // Who has waited once is not sent back to the end.
  if (std::exchange(exchange.waited, true)) {
    waiting_.push_front(connection);
  } else {
    waiting_.push_back(connection);
  }
  reaper_wake_.notify_one();
  return MHD_YES;
}

void MicroHttpServer::ResumeWaiting(bool all) {
  MutexLock lock(reaper_mutex_);
  stopping_ = stopping_ || all;
  // One at a time and thread: what is resumed takes its room only when its thread comes to it.
  for (unsigned i = 0; !waiting_.empty() && (all || i < options_.threads); ++i) {
    if (!all && !table_.MakeRoomForStream()) return;
    MHD_resume_connection(waiting_.front());
    waiting_.pop_front();
  }
}

void MicroHttpServer::OnConnection(void* self, MHD_Connection* connection, void** context,
                                   MHD_ConnectionNotificationCode code) {
  auto* server = static_cast<MicroHttpServer*>(self);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    server->table_.Closed(reinterpret_cast<ConnectionTable::Id>(*context));
    return;
  }
  const auto* fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const auto* peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const ConnectionTable::Id id = server->table_.Open(fd->connect_fd, HostOf(peer->client_addr));
  *context = reinterpret_cast<void*>(id);  // NOLINT(performance-no-int-to-ptr)
}

void* MicroHttpServer::OnTarget(void* self, const char* uri, MHD_Connection* connection) {
  auto* server = static_cast<MicroHttpServer*>(self);
  auto exchange = std::make_unique<Exchange>();
  const absl::string_view target(uri);
  exchange->target = std::string(target.substr(0, kTargetBytesMax + 1));
  exchange->begin = server->clock_.SteadyNow();
  server->table_.RequestBegun(IdOf(connection));
  return exchange.release();
}

MHD_Result MicroHttpServer::OnRequest(void* self, MHD_Connection* connection, const char*,
                                      const char* method, const char*, const char* upload,
                                      size_t* upload_size, void** context) {
  auto* server = static_cast<MicroHttpServer*>(self);
  auto* exchange = static_cast<Exchange*>(*context);
  if (exchange == nullptr) return MHD_NO;
  // The library calls at the end of the headers, for each piece of the body and at the end of the
  // request. An answer queued at the first call closes the connection, which is what a body that
  // nobody wants deserves: none of it is read.
  if (!std::exchange(exchange->headers_seen, true)) {
    const Announced announced = AnnouncedBody(connection);
    exchange->body_too_long = announced.too_long && ReadsBody(method);
    const bool wanted = ReadsBody(method) && !announced.too_long;
    if (!announced.body || wanted) return MHD_YES;
  } else if (*upload_size > 0) {
    // No answer can be given in the middle; who sends without end meets the request's deadline.
    exchange->body_too_long |= exchange->body.size() + *upload_size > kBodyBytesMax;
    if (exchange->body_too_long) {
      exchange->body = {};
    } else {
      exchange->body.append(upload, *upload_size);
    }
    *upload_size = 0;
    return MHD_YES;
  }
  server->table_.Answering(IdOf(connection));
  if (const std::shared_ptr<Later> later = std::exchange(exchange->later, nullptr)) {
    return server->Queue(connection, later->Take(), *exchange);
  }
  HttpResponse response = server->Answer(connection, method, *exchange);
  if (response.later) return server->Defer(connection, std::move(response), *exchange);
  return server->Queue(connection, std::move(response), *exchange);
}

MHD_Result MicroHttpServer::Defer(MHD_Connection* connection, HttpResponse response,
                                  Exchange& exchange) {
  const auto later = std::make_shared<Later>();
  {
    MutexLock lock(reaper_mutex_);
    if (stopping_) return MHD_NO;
    std::erase_if(deferred_, [](const Deferred& other) { return other.open.expired(); });
    exchange.open = std::make_shared<char>();
    deferred_.push_back({later, exchange.open});
    MutexLock held(later->mutex);
    MHD_suspend_connection(connection);
    later->connection = connection;
  }
  exchange.later = later;
  const absl::string_view route = response.route;
  response.later([later, route](HttpResponse answer) {
    answer.route = route;
    later->Give(std::move(answer));
  });
  return MHD_YES;
}

void MicroHttpServer::AnswerDeferred() {
  std::vector<Deferred> deferred;
  {
    MutexLock lock(reaper_mutex_);
    deferred.swap(deferred_);
  }
  for (const Deferred& waiting : deferred) {
    if (const std::shared_ptr<Later> later = waiting.later.lock(); later != nullptr) {
      later->Give(ErrorAnswer("", 503, "the collector is ending"));
    }
  }
  // The library's end would cut off what it has not sent yet.
  const SteadyTime deadline = SteadyAfter(Clock::Real().SteadyNow(), kLastAnswers);
  while (Clock::Real().SteadyNow() < deadline &&
         absl::c_any_of(deferred, [](const Deferred& one) { return !one.open.expired(); })) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

HttpResponse MicroHttpServer::Answer(MHD_Connection* connection, absl::string_view method,
                                     const Exchange& exchange) {
  if (!IsGet(method) && !ReadsBody(method)) {
    HttpResponse response = ErrorAnswer(exchange.target, 405, "no such method");
    response.headers.emplace_back("Allow", kAllMethods);
    return response;
  }
  if (exchange.body_too_long) {
    return ErrorAnswer(exchange.target, 413,
                       absl::StrCat("a body of more than ", kBodyBytesMax, " bytes"));
  }
  absl::StatusOr<RequestTarget> target = ParseRequestTarget(exchange.target);
  if (!target.ok()) {
    return ErrorAnswer(exchange.target, absl::IsResourceExhausted(target.status()) ? 414 : 400,
                       target.status().message());
  }
  HttpRequest request;
  request.method = IsGet(method) ? MHD_HTTP_METHOD_GET : std::string(method);
  request.body = exchange.body;  // a copy: who waits for its turn is asked again
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  size_t bytes = 0;
  std::pair<HttpRequest*, size_t*> into{&request, &bytes};
  MHD_get_connection_values(
      connection, MHD_HEADER_KIND,
      [](void* cls, MHD_ValueKind, const char* key, const char* value) {
        auto* pair = static_cast<std::pair<HttpRequest*, size_t*>*>(cls);
        const absl::string_view text = value == nullptr ? "" : value;
        *pair->second += absl::string_view(key).size() + text.size() + 4;
        pair->first->headers.emplace_back(key, std::string(text));
        return *pair->second > kHeaderBytesMax ? MHD_NO : MHD_YES;
      },
      &into);
  if (bytes > kHeaderBytesMax) return ErrorAnswer(exchange.target, 431, "headers too large");
  const auto* peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  request.peer = HostOf(peer->client_addr);
  return handler_(request);
}

MHD_Result MicroHttpServer::Queue(MHD_Connection* connection, HttpResponse response,
                                  Exchange& exchange) {
  const ConnectionTable::Id id = IdOf(connection);
  if (response.source != nullptr && !table_.Streaming(id)) return Wait(connection, exchange);
  exchange.result.route = response.route;
  exchange.result.status = response.status;
  MHD_Response* made = nullptr;
  if (response.source != nullptr) {
    auto stream =
        std::make_unique<Stream>(Stream{std::move(response.source), &exchange, &table_, id});
    made = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kConnectionBytes / 2,
                                             &MicroHttpServer::OnRead, stream.get(),
                                             [](void* cls) { delete static_cast<Stream*>(cls); });
    if (made != nullptr) (void)stream.release();
  } else {
    exchange.result.body_bytes = response.body.size();
    made = MHD_create_response_from_buffer(response.body.size(), response.body.data(),
                                           MHD_RESPMEM_MUST_COPY);
  }
  if (made == nullptr) return MHD_NO;
  MHD_add_response_header(made, "Content-Type", response.content_type.c_str());
  for (const auto& [name, value] : response.headers) {
    MHD_add_response_header(made, name.c_str(), value.c_str());
  }
  const MHD_Result queued =
      MHD_queue_response(connection, static_cast<unsigned>(response.status), made);
  MHD_destroy_response(made);
  return queued;
}

ssize_t MicroHttpServer::OnRead(void* cls, uint64_t, char* out, size_t size) {
  auto* stream = static_cast<Stream*>(cls);
  stream->table->Progress(stream->connection);
  const absl::StatusOr<size_t> made = stream->source->Read(out, size);
  if (!made.ok()) {
    log::Warning("response cut", {{"error", made.status()}});
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  if (*made == 0) return MHD_CONTENT_READER_END_OF_STREAM;
  stream->exchange->result.body_bytes += *made;
  return static_cast<ssize_t>(*made);
}

void MicroHttpServer::OnCompleted(void* self, MHD_Connection* connection, void** context,
                                  MHD_RequestTerminationCode) {
  auto* server = static_cast<MicroHttpServer*>(self);
  const std::unique_ptr<Exchange> exchange(static_cast<Exchange*>(*context));
  *context = nullptr;
  // What the library refused by itself was no whole request.
  if (exchange == nullptr || exchange->result.status == 0) return;
  server->table_.Answered(IdOf(connection));
  exchange->result.duration = server->clock_.SteadyNow() - exchange->begin;
  if (server->options_.done) server->options_.done(exchange->result);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, HttpHandler handler,
                                                              Clock& clock) {
  auto server = std::make_unique<MicroHttpServer>(std::move(options), std::move(handler), clock);
  absl::Status started = server->Listen();
  if (!started.ok()) return started;
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace fleet::collector
