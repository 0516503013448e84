#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/probe/http_hop.h"
#include "common/probe/rules.h"
#include "common/probe/run.h"
#include "common/probe/samples.h"
#include "common/probe/url.h"
#include "common/probe/websocket.h"

namespace fleet::probe {
namespace {

/// The headers that go to another origin too: they tell nothing of what the first one is given.
bool IsHarmless(absl::string_view name) {
  return absl::StartsWithIgnoreCase(name, "accept") || absl::EqualsIgnoreCase(name, "user-agent");
}

std::string HostHeader(const std::vector<std::pair<std::string, std::string>>& headers) {
  for (const auto& [name, value] : headers) {
    if (absl::EqualsIgnoreCase(name, "host")) return value.substr(0, value.rfind(':'));
  }
  return "";
}

/// Blackbox_exporter's phases, over all requests.
struct PhaseSums {
  absl::Duration connect, tls, processing, transfer;
};

class HttpRun final : public Run {
 public:
  HttpRun(const Context& context, Spec spec, Finished finished)
      : Run(context, std::move(spec), std::move(finished)),
        websocket_(spec_.kind == Kind::kWebSocket) {}
  ~HttpRun() override { Drop(); }

 private:
  void Start() override;
  std::string Doing() const override;
  void Release() override { Drop(); }
  void AddSamples(SampleSet& samples) const override;
  Timings Phases() const override;
  void Refuse(const std::string& refusal) override;

  void StartHop();
  void Connect();
  void Send();
  HttpHop::Request MakeRequest() const;
  void WatchPhase();
  void OnDone(CURLcode code);
  void OnReply();
  void Redirect(const std::string& location);
  void CountPhases(bool last);
  void OnUpgrade();
  void Check();
  void Drop();
  bool FollowsRedirects() const { return !websocket_ && spec_.http.redirects_max > 0; }
  const std::vector<std::pair<std::string, std::string>>& headers() const {
    return websocket_ ? spec_.websocket.headers : spec_.http.headers;
  }
  /// Whom we mean beside the URL; empty: its host.
  std::string ServerName() const {
    return spec_.tls.server_name.empty() ? HostHeader(headers()) : spec_.tls.server_name;
  }
  void CheckCertificate();
  absl::Duration hop_elapsed() const { return Clock::Real().SteadyNow() - hop_begin_; }

  const bool websocket_;
  std::string url_;
  std::string method_;
  bool send_body_ = true;
  bool same_origin_ = true;  // as the target's
  Url parts_;
  Url first_;
  std::string websocket_key_;
  std::set<std::string> seen_;  // URLs
  int redirects_ = 0;
  int head_status_ = 0;  // what HEAD was answered, when GET is asked too
  bool hop_failed_ = false;
  bool too_many_ = false;
  SteadyTime hop_begin_;
  SteadyTime connect_until_;   // to this address
  absl::Duration before_;      // everything before this hop
  absl::Duration hop_lookup_;  // of this hop
  absl::Duration lookups_;     // of all
  PhaseSums phases_;
  std::unique_ptr<TlsCapture> capture_;
  std::shared_ptr<X509_STORE> roots_;
  std::unique_ptr<HttpHop> hop_;
  std::optional<Loop::TimerId> phase_timer_;
};

void HttpRun::Start() {
  url_ = spec_.target;
  method_ = spec_.http.method;
  if (websocket_) {
    url_ = WithScheme(url_, ParseUrl(url_)->tls() ? "https" : "http");
    method_ = "GET";
    websocket_key_ = MakeWebSocketKey();
  } else if (spec_.http.head_first && !NeedsBody(spec_.http)) {
    method_ = "HEAD";
  }
  first_ = *ParseUrl(url_);
  StartHop();
}

void HttpRun::StartHop() {
  Drop();
  hop_begin_ = Clock::Real().SteadyNow();
  if (!seen_.empty()) before_ = elapsed();
  hop_lookup_ = absl::ZeroDuration();
  if (redirects_ == 0) {
    parts_ = first_;
  } else {
    absl::StatusOr<Url> parts = ParseUrl(url_);
    if (!parts.ok()) return Fail(std::string(parts.status().message()));
    parts_ = *std::move(parts);
  }
  same_origin_ =
      parts_.host == first_.host && parts_.port == first_.port && parts_.scheme == first_.scheme;
  seen_.insert(url_);
  result_.method = method_;
  Log(method_, " ", url_);
  Resolve(parts_.host, parts_.port, [this] {
    hop_lookup_ = hop_elapsed();
    lookups_ += hop_lookup_;
    Connect();
  });
}

void HttpRun::Connect() {
  capture_.reset();
  if (parts_.tls()) {
    absl::StatusOr<std::shared_ptr<X509_STORE>> roots = context_.roots.Get(spec_.tls.ca_file);
    if (!roots.ok()) {
      return CannotTell(UnknownKind::kError, std::string(roots.status().message()));
    }
    roots_ = *std::move(roots);
    std::string name = parts_.host;
    if (same_origin_ && !ServerName().empty()) name = ServerName();
    capture_ = std::make_unique<TlsCapture>(roots_.get(), name, spec_.tls.verify);
    result_.tls.reset();
  }
  hop_ = std::make_unique<HttpHop>(MakeRequest(), capture_.get());
  hop_failed_ = false;
  context_.curl.Add(hop_->handle(), [this](CURLcode code) { OnDone(code); });
  connect_until_ =
      SteadyAfter(Clock::Real().SteadyNow(), ShareOf(kConnectMax - (hop_elapsed() - hop_lookup_)));
  WatchPhase();
}

HttpHop::Request HttpRun::MakeRequest() const {
  HttpHop::Request request;
  request.method = method_;
  request.url = url_;
  request.address = address();
  request.port = parts_.port;
  request.follows = FollowsRedirects();
  request.keep_body = NeedsBody(spec_.http);
  request.guard = spec_.guard;
  if (send_body_) request.body = spec_.http.body;
  bool host_given = false;
  for (const auto& [name, value] : headers()) {
    if (!same_origin_ && !IsHarmless(name)) continue;
    host_given = host_given || absl::EqualsIgnoreCase(name, "host");
    request.headers.emplace_back(name, value);
  }
  if (same_origin_) {
    request.user = spec_.http.user;
    request.password = spec_.http.password;
    if (!spec_.http.bearer_token.empty()) {
      request.headers.emplace_back("Authorization",
                                   absl::StrCat("Bearer ", spec_.http.bearer_token));
    }
  }
  const std::string server_name = ServerName();
  if (parts_.tls() && same_origin_ && !server_name.empty() && server_name != parts_.host) {
    // libcurl takes SNI from the URL; who is meant stays in the Host header.
    request.url = WithHost(url_, server_name);
    if (!host_given) {
      const bool standard = parts_.port == 443;
      request.headers.emplace_back(
          "Host", standard ? parts_.host : absl::StrCat(parts_.host, ":", parts_.port));
    }
  }
  if (websocket_) {
    request.http1 = true;
    request.stop_at_headers = true;
    for (auto& header : WebSocketHeaders(websocket_key_)) {
      request.headers.push_back(std::move(header));
    }
  }
  return request;
}

/// Looks again when the phase that the request is in must have ended.
void HttpRun::WatchPhase() {
  const HttpHop::Times times = hop_->times();
  const SteadyTime now = Clock::Real().SteadyNow();
  const absl::Duration in_hop = now - hop_begin_ - hop_lookup_;
  absl::Duration left;
  if (times.connected == absl::ZeroDuration()) {
    left = connect_until_ - now;
    if (left <= absl::ZeroDuration()) {
      if (!NextAddress()) return Fail(TimeoutText("Connection", kConnectMax));
      Drop();
      return Connect();
    }
  } else if (times.ready == absl::ZeroDuration()) {
    left = kHandshakeMax - (in_hop - times.connected);
    if (left <= absl::ZeroDuration()) return Fail(TimeoutText("TLS handshake", kHandshakeMax));
  } else {
    return;
  }
  phase_timer_ = context_.loop.After(left, [this] {
    phase_timer_.reset();
    WatchPhase();
  });
}

std::string HttpRun::Doing() const {
  if (hop_ == nullptr) return "DNS";
  const HttpHop::Times times = hop_->times();
  if (times.connected == absl::ZeroDuration()) return "Connection";
  if (times.ready == absl::ZeroDuration()) return "TLS handshake";
  return "Response";
}

/// Where a site sends us is its own doing.
void HttpRun::Refuse(const std::string& refusal) {
  if (redirects_ == 0) return Run::Refuse(refusal);
  Fail(absl::StrCat("redirect to what may not be asked: ", refusal));
}

void HttpRun::OnDone(CURLcode code) {
  const std::string problem = hop_->Problem(code);
  if (capture_ != nullptr && capture_->seen()) result_.tls = capture_->facts();
  if (problem.empty()) return OnReply();
  hop_failed_ = true;
  if (!hop_->refusal().empty()) {
    return Refuse(problem);
  }
  if (code == CURLE_COULDNT_CONNECT) {
    const int error = hop_->os_error();
    if (NextAddress()) {
      Drop();
      return Connect();
    }
    if (error != 0) return FailConnect(error);
  }
  CountPhases(true);
  Fail(problem);
}

void HttpRun::OnReply() {
  result_.status = hop_->status();
  Log("reply ", result_.status);
  if (websocket_) return OnUpgrade();
  const std::string* location = hop_->header("location");
  const bool redirect = result_.status >= 300 && result_.status <= 399 && result_.status != 304 &&
                        location != nullptr;
  if (redirect) {
    ++redirects_;
    if (redirects_ <= spec_.http.redirects_max) return Redirect(*location);
    too_many_ = FollowsRedirects();
  } else if (method_ == "HEAD" && spec_.http.head_first &&
             (result_.status == 405 || spec_.http.compare_head)) {
    head_status_ = result_.status;
    CountPhases(false);
    method_ = "GET";
    return StartHop();
  }
  if (head_status_ != 0) result_.head_agrees = head_status_ == result_.status;
  CountPhases(true);
  Check();
}

void HttpRun::Redirect(const std::string& location) {
  CountPhases(false);
  absl::StatusOr<std::string> next = ResolveLocation(url_, location);
  if (!next.ok()) return Fail(absl::StrCat("redirect: ", next.status().message()));
  if (result_.status != 307 && result_.status != 308 && method_ != "HEAD") {
    method_ = "GET";
    send_body_ = false;
  }
  url_ = *std::move(next);
  StartHop();
}

/// Until a phase was not reached, as blackbox_exporter counts them.
void HttpRun::CountPhases(bool last) {
  const HttpHop::Times times = hop_->times();
  if (times.ready == absl::ZeroDuration()) return;
  phases_.connect += times.connected;
  phases_.tls += times.ready - times.connected;
  if (times.first_byte == absl::ZeroDuration()) return;
  phases_.processing += std::max(absl::ZeroDuration(), times.first_byte - times.ready);
  if (last && !too_many_) phases_.transfer += times.total - times.first_byte;
}

void HttpRun::OnUpgrade() {
  CountPhases(true);
  const std::string* accept = hop_->header("sec-websocket-accept");
  const std::string* upgrade = hop_->header("upgrade");
  if (result_.status != 101) return Fail(absl::StrCat(result_.status));
  if (upgrade == nullptr || !absl::EqualsIgnoreCase(*upgrade, "websocket")) {
    return Fail("upgraded to something else than websocket");
  }
  if (accept == nullptr || *accept != WebSocketAccept(websocket_key_)) {
    return Fail("wrong Sec-WebSocket-Accept");
  }
  CheckCertificate();
}

void HttpRun::Check() {
  for (const std::string& name : spec_.http.report_headers) {
    if (const std::string* value = hop_->header(name); value != nullptr) {
      result_.reported.emplace_back(name, OneLine(*value));
    }
  }
  if (too_many_) {
    const bool loop = seen_.size() <= static_cast<size_t>(spec_.http.redirects_max);
    return Fail(loop ? absl::StrCat("redirect loop at ", OneLine(url_))
                     : absl::StrCat("more than ", spec_.http.redirects_max, " redirects"));
  }
  Reply reply;
  reply.status = result_.status;
  reply.tls = parts_.tls();
  reply.url = url_;
  reply.headers = hop_->headers();
  reply.body = std::move(hop_->body());
  Judgement judgement = Judge(spec_.http, reply);
  regex_failed_ = judgement.regex_failed;
  if (!judgement.error.empty()) return Fail(std::move(judgement.error));
  CheckCertificate();
}

void HttpRun::CheckCertificate() {
  if (result_.tls.has_value()) {
    std::string soon = ExpiresTooSoon(*result_.tls, spec_.tls);
    if (!soon.empty()) return Fail(std::move(soon));
  }
  Succeed();
}

Timings HttpRun::Phases() const {
  Timings timings;
  timings.redirect = before_;
  timings.namelookup = hop_lookup_;
  if (hop_ == nullptr) return timings;
  const HttpHop::Times times = hop_->times();
  timings.connection = times.connected;
  if (parts_.tls() && times.ready > absl::ZeroDuration()) {
    timings.handshake = times.ready - times.connected;
  }
  if (times.ready > absl::ZeroDuration()) {
    timings.response = elapsed() - before_ - hop_lookup_ - timings.connection - timings.handshake;
  }
  return timings;
}

void HttpRun::AddSamples(SampleSet& samples) const {
  const bool replied = hop_ != nullptr && !hop_failed_ && hop_->status() > 0 && result_.status > 0;
  if (websocket_) {
    samples.Add(kWebSocketStatus, {}, result_.status);
    samples.Add(kWebSocketUpgraded, {}, replied && result_.status == 101 ? 1 : 0);
  } else {
    samples.Add(kRegex, {}, regex_failed_ ? 1 : 0);
    samples.Add(kHttpLength, {}, replied ? static_cast<double>(hop_->content_length()) : 0);
    samples.Add(kHttpBody, {},
                replied && redirects_ <= spec_.http.redirects_max
                    ? static_cast<double>(hop_->body_bytes())
                    : 0);
    samples.Add(kHttpRedirects, {}, redirects_);
    samples.Add(kHttpTls, {}, replied && parts_.tls() ? 1 : 0);
    samples.Add(kHttpStatus, {}, replied ? result_.status : 0);
    samples.Add(kHttpVersion, {}, replied ? hop_->version() : 0);
    const std::string* modified = replied ? hop_->header("last-modified") : nullptr;
    if (const auto time = modified == nullptr ? std::nullopt : ParseHttpDate(*modified)) {
      samples.Add(kHttpModified, {}, static_cast<double>(*time));
    }
    AddPhase(kHttpPhases, "resolve", lookups_ == absl::ZeroDuration() ? first_lookup_ : lookups_,
             samples);
    if (!result_.address.empty()) {
      AddPhase(kHttpPhases, "connect", phases_.connect, samples);
      AddPhase(kHttpPhases, "tls", phases_.tls, samples);
      AddPhase(kHttpPhases, "processing", phases_.processing, samples);
      AddPhase(kHttpPhases, "transfer", phases_.transfer, samples);
    }
  }
  if (replied && capture_ != nullptr && capture_->seen()) AddTlsSamples(*capture_, samples);
}

void HttpRun::Drop() {
  if (phase_timer_.has_value()) context_.loop.Cancel(*phase_timer_);
  phase_timer_.reset();
  if (hop_ != nullptr) context_.curl.Remove(hop_->handle());
  hop_.reset();
}

}  // namespace

std::unique_ptr<Run> MakeHttpRun(const Context& context, Spec spec, Run::Finished finished) {
  return std::make_unique<HttpRun>(context, std::move(spec), std::move(finished));
}

}  // namespace fleet::probe
