#include <openssl/err.h>
#include <openssl/ssl.h>
#include <re2/re2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/errno_text.h"
#include "common/escape.h"
#include "common/probe/run.h"
#include "common/probe/samples.h"
#include "common/probe/sockets.h"
#include "common/scoped_fd.h"

namespace fleet::probe {
namespace {

/// How long a line without its end is waited for before it is taken for one: not everybody who
/// answers speaks in lines (PostgreSQL's "S").
constexpr absl::Duration kQuiet = absl::Milliseconds(100);
constexpr size_t kLineBytesMax = 64 << 10;
constexpr size_t kReadBytes = 16 << 10;

/// A connection, with TLS or without, and a conversation over it.
class TcpRun final : public Run {
 public:
  using Run::Run;
  ~TcpRun() override { Release(); }

 private:
  enum class State { kResolving, kConnecting, kHandshaking, kTalking };

  void Start() override;
  std::string Doing() const override;
  void Expire() override;
  void Release() override;
  void AddSamples(SampleSet& samples) const override;
  Timings Phases() const override;

  void Connect();
  void WatchConnect();
  void OnConnectFailed(int error);
  void OnReady(uint32_t events);
  void OnConnected();
  void StartTls();
  void Handshake();
  void Talk();
  /// As far as the steps come with what has arrived.
  void FollowSteps();
  bool Expect(const TcpStep& step);
  bool TryLine(const std::string& pattern, absl::string_view line);
  void Flush();
  void ReadInput();
  void WatchFor(uint32_t events);
  void Limit(absl::Duration span, absl::string_view doing);
  void ClearTimers();
  absl::Duration since(SteadyTime time) const { return Clock::Real().SteadyNow() - time; }

  State state_ = State::kResolving;
  std::string host_;
  int port_ = 0;
  ScopedFd fd_;
  SSL* tls_ = nullptr;
  std::shared_ptr<X509_STORE> roots_;
  std::unique_ptr<TlsCapture> capture_;
  bool handshake_done_ = false;
  std::optional<Loop::TimerId> limit_;
  std::optional<Loop::TimerId> quiet_;
  SteadyTime phase_begin_;
  std::optional<SteadyTime> connect_begin_;  // to the first address
  absl::Duration connection_;
  absl::Duration handshake_;
  size_t step_ = 0;
  bool expected_ = false;  // the step's pattern was found
  bool sent_ = false;      // and its text is on its way
  std::vector<std::string> groups_;
  std::string input_;
  std::string output_;
  bool closed_ = false;     // by the other end
  bool line_done_ = false;  // what is in `input_` will get no end
  std::string last_line_;
};

void TcpRun::Start() {
  const auto target = SplitHostPort(spec_.target);
  host_ = target->first;
  port_ = target->second;
  Resolve(host_, port_, [this] { Connect(); });
}

std::string TcpRun::Doing() const {
  switch (state_) {
    case State::kResolving:
      return "DNS";
    case State::kConnecting:
      return "Connection";
    case State::kHandshaking:
      return "TLS handshake";
    case State::kTalking:
      break;
  }
  return "Response";
}

void TcpRun::Expire() {
  const bool last = state_ == State::kConnecting && !HasNextAddress();
  if (spec_.tcp.expect_closed && last) return Succeed();
  Run::Expire();
}

void TcpRun::Connect() {
  const std::string refusal = Refusal(address(), port_);
  if (!refusal.empty()) return Refuse(refusal);
  Log("connecting to ", address(), " port ", port_);
  state_ = State::kConnecting;
  phase_begin_ = Clock::Real().SteadyNow();
  const SocketAddress to = MakeSocketAddress(address(), port_);
  fd_ = ScopedFd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return FailConnect(errno);
  if (::connect(fd_.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) {
    return OnConnectFailed(errno);
  }
  WatchConnect();
  WatchFor(EPOLLOUT);
}

void TcpRun::WatchConnect() {
  if (!connect_begin_.has_value()) connect_begin_ = phase_begin_;
  const absl::Duration rest = kConnectMax - since(*connect_begin_);
  limit_ = context_.loop.After(ShareOf(rest), [this] {
    limit_.reset();
    OnConnectFailed(ETIMEDOUT);
  });
}

void TcpRun::OnConnectFailed(int error) {
  if (fd_.valid()) context_.loop.Unwatch(fd_.get());
  fd_.Reset();
  ClearTimers();
  if (NextAddress()) return Connect();
  const bool there = error == ECONNREFUSED || error == EHOSTUNREACH || error == ETIMEDOUT;
  if (spec_.tcp.expect_closed && there) return Succeed();  // at each address
  if (error == ETIMEDOUT) return Fail(TimeoutText("Connection", kConnectMax));
  FailConnect(error);
}

void TcpRun::WatchFor(uint32_t events) {
  context_.loop.Watch(fd_.get(), events, [this](uint32_t got) { OnReady(got); });
}

void TcpRun::Limit(absl::Duration span, absl::string_view doing) {
  if (limit_.has_value()) context_.loop.Cancel(*limit_);
  limit_ = context_.loop.After(span, [this, span, doing = std::string(doing)] {
    limit_.reset();
    Fail(TimeoutText(doing, span));
  });
}

void TcpRun::OnReady(uint32_t) {
  switch (state_) {
    case State::kResolving:
      return;
    case State::kConnecting: {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      return error == 0 ? OnConnected() : OnConnectFailed(error);
    }
    case State::kHandshaking:
      return Handshake();
    case State::kTalking:
      return Talk();
  }
}

void TcpRun::OnConnected() {
  connection_ = since(phase_begin_);
  ClearTimers();
  Log("connected");
  if (spec_.tcp.expect_closed) return Fail("the port is open, which must not be");
  if (spec_.kind == Kind::kTls) return StartTls();
  state_ = State::kTalking;
  WatchFor(EPOLLIN);
  Talk();
}

void TcpRun::StartTls() {
  absl::StatusOr<std::shared_ptr<X509_STORE>> roots = context_.roots.Get(spec_.tls.ca_file);
  if (!roots.ok()) {
    return CannotTell(UnknownKind::kError, std::string(roots.status().message()));
  }
  roots_ = *std::move(roots);
  const std::string name = spec_.tls.server_name.empty() ? host_ : spec_.tls.server_name;
  capture_ = std::make_unique<TlsCapture>(roots_.get(), name, spec_.tls.verify);
  tls_ = ::SSL_new(context_.roots.client_context());
  ::SSL_set_fd(tls_, fd_.get());
  ::SSL_set_connect_state(tls_);
  if (FamilyOf(name) == IpFamily::kAny) SSL_set_tlsext_host_name(tls_, name.c_str());
  capture_->Install(tls_);
  state_ = State::kHandshaking;
  phase_begin_ = Clock::Real().SteadyNow();
  input_.clear();  // nothing said before TLS counts after it
  Limit(kHandshakeMax, "TLS handshake");
  Handshake();
}

void TcpRun::Handshake() {
  ::ERR_clear_error();
  errno = 0;
  const int result = ::SSL_do_handshake(tls_);
  const int os_error = errno;
  if (capture_->seen()) result_.tls = capture_->facts();
  if (result != 1) {
    const int why = ::SSL_get_error(tls_, result);
    if (why == SSL_ERROR_WANT_READ) return WatchFor(EPOLLIN);
    if (why == SSL_ERROR_WANT_WRITE) return WatchFor(EPOLLOUT);
    std::string words = TakeTlsError();
    if (!capture_->verify_text().empty()) words = capture_->verify_text();
    if (words.empty() && os_error != 0) words = ErrnoText(os_error);
    if (words.empty()) words = "connection closed in the handshake";
    return Fail(absl::StrCat("TLS: ", words));
  }
  handshake_done_ = true;
  handshake_ += since(phase_begin_);
  ClearTimers();
  Log(capture_->facts().version, ", ", capture_->facts().certificate.subject);
  std::string soon = ExpiresTooSoon(*result_.tls, spec_.tls);
  if (!soon.empty()) return Fail(std::move(soon));
  state_ = State::kTalking;
  WatchFor(EPOLLIN);
  Talk();
}

void TcpRun::Talk() {
  FollowSteps();
  if (done() || state_ != State::kTalking) return;
  ReadInput();
  if (!done()) FollowSteps();
}

void TcpRun::FollowSteps() {
  while (step_ < spec_.tcp.steps.size()) {
    const TcpStep& step = spec_.tcp.steps[step_];
    if (!expected_ && !step.expect.empty() && !Expect(step)) return;
    expected_ = true;
    if (!sent_ && !step.send.empty()) {
      std::vector<std::pair<std::string, std::string>> replacements;
      for (size_t i = 0; i < groups_.size(); ++i) {
        replacements.emplace_back(absl::StrCat("${", i, "}"), groups_[i]);
      }
      output_ += step.expect.empty() ? step.send : absl::StrReplaceAll(step.send, replacements);
    }
    sent_ = true;
    Flush();
    if (done() || !output_.empty()) return;
    const bool starts_tls = step.start_tls && tls_ == nullptr;
    ++step_;
    expected_ = sent_ = false;
    if (starts_tls) return StartTls();
  }
  Flush();
  if (!done() && output_.empty()) Succeed();
}

bool TcpRun::Expect(const TcpStep& step) {
  while (true) {
    const size_t end = input_.find('\n');
    if (end == std::string::npos) break;
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    if (TryLine(step.expect, line)) return true;
  }
  if (!input_.empty() && (line_done_ || closed_)) {
    line_done_ = false;
    const std::string line = std::exchange(input_, "");
    if (TryLine(step.expect, line)) return true;
  }
  if (closed_) {
    regex_failed_ = true;
    Fail(last_line_.empty() ? "Connection closed without a word"
                            : absl::StrCat("no_match: ", OneLine(last_line_, 80)));
  } else if (input_.size() > kLineBytesMax) {
    Fail("a line of more than 64 KiB");
  }
  return false;
}

bool TcpRun::TryLine(const std::string& pattern, absl::string_view line) {
  if (absl::EndsWith(line, "\r")) line.remove_suffix(1);
  last_line_ = std::string(line);
  Log("got ", Quote(line));
  RE2::Options options;
  options.set_log_errors(false);
  options.set_encoding(RE2::Options::EncodingLatin1);  // bytes: whatever they are
  const RE2 compiled(pattern, options);
  const int groups = compiled.NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> found(static_cast<size_t>(groups));
  const re2::StringPiece text(line.data(), line.size());
  if (!compiled.Match(text, 0, text.size(), RE2::UNANCHORED, found.data(), groups)) return false;
  groups_.clear();
  for (const re2::StringPiece& group : found) groups_.emplace_back(group.data(), group.size());
  return true;
}

void TcpRun::Flush() {
  while (!output_.empty()) {
    ssize_t sent = 0;
    if (tls_ != nullptr) {
      ::ERR_clear_error();
      sent = ::SSL_write(tls_, output_.data(), static_cast<int>(output_.size()));
      if (sent <= 0 && ::SSL_get_error(tls_, static_cast<int>(sent)) == SSL_ERROR_WANT_READ) return;
      if (sent <= 0 && ::SSL_get_error(tls_, static_cast<int>(sent)) != SSL_ERROR_WANT_WRITE) {
        return Fail("Connection broken");
      }
    } else {
      sent = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return Fail(ErrnoText(errno));
    }
    if (sent <= 0) return WatchFor(EPOLLIN | EPOLLOUT);
    output_.erase(0, static_cast<size_t>(sent));
    if (output_.empty()) WatchFor(EPOLLIN);
  }
}

void TcpRun::ReadInput() {
  char bytes[kReadBytes];
  while (!closed_ && input_.size() <= kLineBytesMax) {
    ssize_t got = 0;
    if (tls_ != nullptr) {
      ::ERR_clear_error();
      got = ::SSL_read(tls_, bytes, sizeof(bytes));
      const int why = got > 0 ? SSL_ERROR_NONE : ::SSL_get_error(tls_, static_cast<int>(got));
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) break;
      if (got <= 0) closed_ = true;
    } else {
      got = ::recv(fd_.get(), bytes, sizeof(bytes), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (got <= 0) closed_ = true;
    }
    if (got > 0) input_.append(bytes, static_cast<size_t>(got));
  }
  if (quiet_.has_value()) context_.loop.Cancel(*quiet_);
  quiet_.reset();
  if (input_.empty() || closed_) return;
  quiet_ = context_.loop.After(kQuiet, [this] {
    quiet_.reset();
    line_done_ = true;
    FollowSteps();
  });
}

void TcpRun::ClearTimers() {
  if (limit_.has_value()) context_.loop.Cancel(*limit_);
  if (quiet_.has_value()) context_.loop.Cancel(*quiet_);
  limit_.reset();
  quiet_.reset();
}

Timings TcpRun::Phases() const {
  Timings timings;
  timings.namelookup = first_lookup_;
  timings.connection = connection_;
  timings.handshake = handshake_;
  if (state_ == State::kTalking) {
    timings.response =
        std::max(absl::ZeroDuration(), elapsed() - first_lookup_ - connection_ - handshake_);
  }
  return timings;
}

void TcpRun::AddSamples(SampleSet& samples) const {
  samples.Add(kRegex, {}, regex_failed_ ? 1 : 0);
  if (handshake_done_) AddTlsSamples(*capture_, samples);
}

void TcpRun::Release() {
  ClearTimers();
  if (fd_.valid()) context_.loop.Unwatch(fd_.get());
  if (tls_ != nullptr) ::SSL_free(tls_);
  tls_ = nullptr;
  fd_.Reset();
}

}  // namespace

std::unique_ptr<Run> MakeTcpRun(const Context& context, Spec spec, Run::Finished finished) {
  return std::make_unique<TcpRun>(context, std::move(spec), std::move(finished));
}

}  // namespace fleet::probe
