#include <openssl/rand.h>
#include <re2/re2.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/probe/dns_message.h"
#include "common/probe/run.h"
#include "common/probe/samples.h"
#include "common/probe/sockets.h"
#include "common/scoped_fd.h"

namespace fleet::probe {
namespace {

constexpr int kDnsPort = 53;
/// A question is asked so often within the probe's time: one lost datagram is no failure.
constexpr int kAttempts = 3;
constexpr size_t kAnswerBytesMax = 4096;  // of a datagram, and of one read of a stream

/// The first name server of /etc/resolv.conf.
std::string SystemServer() {
  std::ifstream file("/etc/resolv.conf");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == "nameserver") return words[1];
  }
  return "127.0.0.1";
}

/// A question to one server: over UDP, and over TCP when the answer does not fit (RFC 7766).
class DnsRun final : public Run {
 public:
  using Run::Run;
  ~DnsRun() override { Release(); }

 private:
  void Start() override;
  std::string Doing() const override { return fd_.valid() ? "Answer" : "DNS"; }
  void Release() override {
    if (again_.has_value()) context_.loop.Cancel(*again_);
    again_.reset();
    if (fd_.valid()) context_.loop.Unwatch(fd_.get());
    fd_.Reset();
  }
  void AddSamples(SampleSet& samples) const override;
  Timings Phases() const override;

  void Open();
  void Send();
  void Receive();
  void AskByStream();
  void OnStream();
  void SendOnStream();
  void ReceiveOnStream();
  void Take(absl::string_view bytes);
  void Judge(const DnsAnswer& answer);

  int port_ = kDnsPort;
  ScopedFd fd_;
  uint16_t id_ = 0;
  std::string query_;
  SteadyTime sent_at_;
  absl::Duration connect_;
  absl::Duration request_;
  bool stream_ = false;
  std::string output_;  // what is left of the question
  std::string input_;
  std::optional<DnsAnswer> answer_;
  std::optional<Loop::TimerId> again_;
};

void DnsRun::Start() {
  std::string host = spec_.target.empty() ? SystemServer() : spec_.target;
  if (FamilyOf(host) == IpFamily::kAny && absl::StrContains(host, ':')) {
    const auto split = SplitHostPort(host);
    if (!split.ok()) return CannotTell(UnknownKind::kError, std::string(split.status().message()));
    host = split->first;
    port_ = split->second;
  }
  Resolve(host, port_, [this] { Open(); });
}

void DnsRun::Open() {
  const SteadyTime begin = Clock::Real().SteadyNow();
  const std::string refusal = Refusal(address(), port_);
  if (!refusal.empty()) return Refuse(refusal);
  ::RAND_bytes(reinterpret_cast<unsigned char*>(&id_), sizeof(id_));
  absl::StatusOr<std::string> query = MakeDnsQuery(spec_.dns.name, spec_.dns.type, id_);
  if (!query.ok()) return CannotTell(UnknownKind::kError, std::string(query.status().message()));
  query_ = *std::move(query);
  const SocketAddress to = MakeSocketAddress(address(), port_);
  // Connected: nobody else's datagrams come in, and refusals are told.
  fd_ = ScopedFd(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid() || ::connect(fd_.get(), to.get(), to.size) != 0) return FailConnect(errno);
  connect_ = Clock::Real().SteadyNow() - begin;
  context_.loop.Watch(fd_.get(), EPOLLIN, [this](uint32_t) { Receive(); });
  sent_at_ = Clock::Real().SteadyNow();
  Send();
}

void DnsRun::Send() {
  const auto size = static_cast<ssize_t>(query_.size());
  if (::send(fd_.get(), query_.data(), query_.size(), 0) != size && errno != EAGAIN) {
    return FailConnect(errno);
  }
  again_ = context_.loop.After(spec_.timeout / kAttempts, [this] {
    again_.reset();
    Log("asking again");
    Send();
  });
}

void DnsRun::Receive() {
  while (!done()) {
    std::array<char, kAnswerBytesMax> bytes;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    request_ = Clock::Real().SteadyNow() - sent_at_;
    if (got < 0) return FailConnect(errno);
    Take(absl::string_view(bytes.data(), static_cast<size_t>(got)));
    if (stream_) return;
  }
}

void DnsRun::Take(absl::string_view bytes) {
  absl::StatusOr<DnsAnswer> answer = ParseDnsAnswer(bytes);
  if (!answer.ok()) return Fail(absl::StrCat("no DNS answer: ", answer.status().message()));
  if (answer->id != id_) {  // to somebody else, or a guess
    return stream_ ? Fail("no DNS answer: it is one to another question") : void();
  }
  if (answer->truncated && !stream_) return AskByStream();
  answer_ = *std::move(answer);
  Judge(*answer_);
}

void DnsRun::AskByStream() {
  Log("the answer is cut off: asking over TCP");
  Release();
  stream_ = true;
  const std::string refusal = Refusal(address(), port_);
  if (!refusal.empty()) return Refuse(refusal);
  const SocketAddress to = MakeSocketAddress(address(), port_);
  fd_ = ScopedFd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return FailConnect(errno);
  if (::connect(fd_.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) {
    return FailConnect(errno);
  }
  output_ = {static_cast<char>(query_.size() >> 8), static_cast<char>(query_.size() & 0xff)};
  output_ += query_;
  context_.loop.Watch(fd_.get(), EPOLLOUT, [this](uint32_t) { OnStream(); });
}

void DnsRun::OnStream() {
  if (!output_.empty()) return SendOnStream();
  ReceiveOnStream();
}

void DnsRun::SendOnStream() {
  // Tells, too, when there was nobody to connect to.
  const ssize_t sent = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR ? void() : FailConnect(errno);
  output_.erase(0, static_cast<size_t>(sent));
  if (!output_.empty()) return;
  context_.loop.Watch(fd_.get(), EPOLLIN, [this](uint32_t) { OnStream(); });
}

void DnsRun::ReceiveOnStream() {
  // Two bytes say how many follow: 64 KiB at most.
  std::array<char, kAnswerBytesMax> bytes;
  const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? void() : FailConnect(errno);
  if (got == 0) return Fail("no DNS answer: the connection ended");
  input_.append(bytes.data(), static_cast<size_t>(got));
  if (input_.size() < 2) return;
  const size_t size =
      (static_cast<size_t>(static_cast<uint8_t>(input_[0])) << 8) | static_cast<uint8_t>(input_[1]);
  if (input_.size() < 2 + size) return;
  request_ = Clock::Real().SteadyNow() - sent_at_;
  Take(absl::string_view(input_).substr(2, size));
}

void DnsRun::Judge(const DnsAnswer& answer) {
  for (const std::string& record : answer.records) Log(OneLine(record));
  const std::vector<std::string>& valid = spec_.dns.valid_rcodes;
  const bool rcode_is_valid =
      valid.empty() ? answer.rcode == "NOERROR"
                    : std::find(valid.begin(), valid.end(), answer.rcode) != valid.end();
  if (!rcode_is_valid) return Fail(answer.rcode);
  if (!spec_.dns.answer_matches.empty()) {
    RE2::Options options;
    options.set_log_errors(false);
    const RE2 pattern(spec_.dns.answer_matches, options);
    const bool found =
        std::any_of(answer.records.begin(), answer.records.end(),
                    [&](const std::string& record) { return RE2::PartialMatch(record, pattern); });
    if (!found) {
      return Fail(absl::StrCat("no_match: ", OneLine(absl::StrJoin(answer.records, "; "), 120)));
    }
  }
  Succeed();
}

Timings DnsRun::Phases() const {
  Timings timings;
  timings.namelookup = first_lookup_;
  timings.connection = connect_;
  timings.response = request_;
  return timings;
}

void DnsRun::AddSamples(SampleSet& samples) const {
  const bool opened = connect_ > absl::ZeroDuration();
  AddPhase(kDnsPhases, "resolve", opened ? first_lookup_ : absl::ZeroDuration(), samples);
  AddPhase(kDnsPhases, "connect", connect_, samples);
  AddPhase(kDnsPhases, "request", request_, samples);
  samples.Add(kDnsAnswers, {}, answer_.has_value() ? answer_->answers : 0);
  samples.Add(kDnsAuthorities, {}, answer_.has_value() ? answer_->authorities : 0);
  samples.Add(kDnsAdditionals, {}, answer_.has_value() ? answer_->additionals : 0);
  samples.Add(kDnsSucceeded, {}, answer_.has_value() ? 1 : 0);
  if (spec_.dns.type == "SOA") {
    samples.Add(kDnsSerial, {}, answer_.has_value() ? answer_->serial.value_or(0) : 0);
  }
}

}  // namespace

std::unique_ptr<Run> MakeDnsRun(const Context& context, Spec spec, Run::Finished finished) {
  return std::make_unique<DnsRun>(context, std::move(spec), std::move(finished));
}

}  // namespace fleet::probe
