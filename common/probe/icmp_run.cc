#include <netinet/in.h>
#include <netinet/ip.h>
#include <openssl/rand.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/probe/icmp_message.h"
#include "common/probe/run.h"
#include "common/probe/samples.h"
#include "common/probe/sockets.h"
#include "common/scoped_fd.h"

namespace fleet::probe {
namespace {

/// Between two requests of one probe, as ping does; less where the timeout leaves less.
constexpr absl::Duration kSpacing = absl::Seconds(1);
constexpr size_t kReplyBytesMax = 2048;
constexpr size_t kCookieBytes = 8;  // at the start of the payload: replies to others are not ours

constexpr char kBlind[] =
    "no right to ping: net.ipv4.ping_group_range does not hold our group "
    "(install deploy/sysctl/50-fleet-ping.conf)";

/// Echo requests over an unprivileged ping socket.
class IcmpRun final : public Run {
 public:
  using Run::Run;
  ~IcmpRun() override { Release(); }

 private:
  void Start() override {
    Resolve(spec_.target, 0, [this] { Open(); });
  }
  std::string Doing() const override { return fd_.valid() ? "Ping" : "DNS"; }
  void Expire() override {
    // Those without an answer are lost; some may be allowed to be.
    if (fd_.valid()) return Judge();
    Run::Expire();
  }
  void Release() override {
    if (next_.has_value()) context_.loop.Cancel(*next_);
    next_.reset();
    if (fd_.valid()) context_.loop.Unwatch(fd_.get());
    fd_.Reset();
  }
  void AddSamples(SampleSet& samples) const override;
  Timings Phases() const override;

  void Open();
  void Send();
  void Receive();
  void Judge();
  absl::Duration Mean() const;

  bool v6_ = false;
  ScopedFd fd_;
  SocketAddress to_;
  std::string payload_;
  int sent_ = 0;
  std::vector<std::optional<SteadyTime>> sent_at_;  // none: answered
  std::vector<absl::Duration> round_trips_;
  int hop_limit_ = 0;
  absl::Duration setup_;
  SteadyTime open_at_;
  std::optional<Loop::TimerId> next_;
};

void IcmpRun::Open() {
  open_at_ = Clock::Real().SteadyNow();
  v6_ = result_.family == IpFamily::kIpv6;
  to_ = MakeSocketAddress(address(), 0);
  const int family = v6_ ? AF_INET6 : AF_INET;
  fd_ = ScopedFd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          v6_ ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
  if (!fd_.valid()) {
    if (errno == EACCES || errno == EPERM) return CannotTell(UnknownKind::kBlind, kBlind);
    return FailConnect(errno);
  }
  const int on = 1;
  if (v6_) {
    ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
  } else {
    ::setsockopt(fd_.get(), IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
  }
  payload_.resize(std::max(static_cast<size_t>(spec_.icmp.payload_bytes), kCookieBytes));
  ::RAND_bytes(reinterpret_cast<unsigned char*>(payload_.data()), kCookieBytes);
  setup_ = Clock::Real().SteadyNow() - open_at_;
  context_.loop.Watch(fd_.get(), EPOLLIN, [this](uint32_t) { Receive(); });
  Send();
}

void IcmpRun::Send() {
  const std::string refusal = Refusal(address(), 0);
  if (!refusal.empty()) return Refuse(refusal);
  const std::string request = MakeEchoRequest(v6_, static_cast<uint16_t>(sent_), payload_);
  sent_at_.push_back(Clock::Real().SteadyNow());
  ++sent_;
  if (::sendto(fd_.get(), request.data(), request.size(), 0, to_.get(), to_.size) < 0 &&
      errno != EAGAIN && errno != ENOBUFS) {
    return FailConnect(errno);
  }
  if (sent_ >= spec_.icmp.count) return;
  const absl::Duration spacing = std::min(kSpacing, spec_.timeout / (2 * spec_.icmp.count));
  next_ = context_.loop.After(spacing, [this] {
    next_.reset();
    Send();
  });
}

void IcmpRun::Receive() {
  while (!done()) {
    std::array<char, kReplyBytesMax> bytes;
    std::array<char, 256> control;
    sockaddr_storage from = {};
    iovec part = {bytes.data(), bytes.size()};
    msghdr message = {};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd_.get(), &message, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return FailConnect(errno);  // a router said so
    const std::optional<EchoReply> reply =
        ParseEchoReply(v6_, absl::string_view(bytes.data(), static_cast<size_t>(got)));
    if (!reply.has_value() || reply->payload != payload_) continue;
    if (AddressText(reinterpret_cast<sockaddr&>(from)) != address()) continue;
    if (reply->sequence >= sent_at_.size() || !sent_at_[reply->sequence].has_value()) continue;
    round_trips_.push_back(Clock::Real().SteadyNow() - *sent_at_[reply->sequence]);
    sent_at_[reply->sequence].reset();
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      const bool ttl4 = header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TTL;
      const bool ttl6 = header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_HOPLIMIT;
      if (ttl4 || ttl6) std::memcpy(&hop_limit_, CMSG_DATA(header), sizeof(hop_limit_));
    }
    if (static_cast<int>(round_trips_.size()) == spec_.icmp.count) return Judge();
  }
}

void IcmpRun::Judge() {
  const int lost = spec_.icmp.count - static_cast<int>(round_trips_.size());
  const double loss = static_cast<double>(lost) / spec_.icmp.count;
  if (round_trips_.empty()) return Fail(TimeoutText("Ping", spec_.timeout));
  if (loss > spec_.icmp.loss_max) {
    return Fail(absl::StrFormat("%d of %d pings lost", lost, spec_.icmp.count));
  }
  Succeed();
}

absl::Duration IcmpRun::Mean() const {
  absl::Duration sum;
  for (const absl::Duration trip : round_trips_) sum += trip;
  return round_trips_.empty() ? sum : sum / static_cast<int64_t>(round_trips_.size());
}

Timings IcmpRun::Phases() const {
  Timings timings;
  timings.namelookup = first_lookup_;
  timings.connection = setup_;
  timings.response = Mean();
  return timings;
}

void IcmpRun::AddSamples(SampleSet& samples) const {
  AddPhase(kIcmpPhases, "resolve", first_lookup_, samples);
  AddPhase(kIcmpPhases, "setup", setup_, samples);
  AddPhase(kIcmpPhases, "rtt", Mean(), samples);
  if (hop_limit_ > 0) samples.Add(kIcmpHops, {}, hop_limit_);
}

}  // namespace

std::unique_ptr<Run> MakeIcmpRun(const Context& context, Spec spec, Run::Finished finished) {
  return std::make_unique<IcmpRun>(context, std::move(spec), std::move(finished));
}

}  // namespace fleet::probe
