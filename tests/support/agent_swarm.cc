#include "tests/support/agent_swarm.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/client_credentials.h"
#include "common/status_macros.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/support/test_agent.h"

namespace fleet::test {

/// One connection and its one stream.
class AgentSwarm::Attempt final
    : public grpc::ClientBidiReactor<v1::AgentMessage, v1::CollectorMessage> {
 public:
  Attempt(AgentSwarm& swarm, size_t index, const std::string& host,
          const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : swarm_(swarm), index_(index), opened_(Clock::Real().SteadyNow()) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = v1::Ingest::NewStub(
        grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", swarm.port_), credentials, arguments));
    v1::Hello& hello = *sent_.mutable_hello();
    hello.set_host(host);
    hello.set_agent_version("swarm");
    hello.set_epoch(1);
    hello.set_interval_seconds(10);
  }

  void Begin() {
    stub_->async()->Upload(&context_, this);
    StartWrite(&sent_);
    StartRead(&received_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (received_.has_welcome()) {
      welcomed_ = true;
      Step();
    } else if (received_.has_ack()) {
      swarm_.Acked(index_);
    }
    StartRead(&received_);
  }

  void OnWriteDone(bool ok) override {
    if (ok && !std::exchange(hello_sent_, true)) Step();
  }

  void OnDone(const grpc::Status& status) override {
    swarm_.Ended(
        index_,
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()),
        welcomed_, Clock::Real().SteadyNow() - opened_);
  }

 private:
  /// The hello is written, or answered; the second of both goes on, whichever it is.
  void Step() {
    if (steps_.fetch_add(1) == 1) SendReport();
  }

  void SendReport() {
    SegmentEncoder encoder({1, swarm_.NextSegment(index_)}, absl::Now());
    report_.mutable_records()->set_epoch(1);
    report_.mutable_records()->set_segment(encoder.id().number);
    FLEET_ASSERT(
        encoder.Append(MakeReport("disk", 1), *report_.mutable_records()->mutable_data()).ok());
    StartWrite(&report_);
  }

  AgentSwarm& swarm_;
  const size_t index_;
  const SteadyTime opened_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  v1::AgentMessage sent_;
  v1::AgentMessage report_;
  v1::CollectorMessage received_;
  bool welcomed_ = false;
  bool hello_sent_ = false;
  std::atomic<int> steps_ = 0;
};

AgentSwarm::AgentSwarm(uint16_t port, const TestCa& ca, size_t count) : port_(port) {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < count; ++i) {
    std::string host = absl::StrCat("host", i);
    const TlsIdentity tls = ca.Issue(Role::kAgent, host);
    const auto credentials = CollectorCredentials({tls.ca, "", tls.cert, tls.key}, Clock::Real());
    FLEET_ASSERT(credentials.ok());
    agents_.push_back({std::move(host), *credentials, agent::Backoff(i)});
  }
}

AgentSwarm::~AgentSwarm() {
  thread_ = std::jthread();  // nobody tries again
  MutexLock lock(mutex_);
  stopping_ = true;
  for (const Agent& agent : agents_) {
    if (agent.attempt != nullptr) agent.attempt->Cancel();
  }
  while (open_ > 0) changed_.wait(mutex_);
  over_.clear();
}

void AgentSwarm::Start() {
  {
    MutexLock lock(mutex_);
    const SteadyTime now = Clock::Real().SteadyNow();
    for (size_t i = 0; i < agents_.size(); ++i) {
      due_.emplace(SteadyAfter(now, static_cast<double>(i) * kStartPause), i);
    }
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void AgentSwarm::Run(const std::stop_token& stop) {
  Clock& clock = Clock::Real();
  while (!stop.stop_requested()) {
    size_t index = 0;
    std::vector<std::unique_ptr<Attempt>> over;
    {
      MutexLock lock(mutex_);
      over = std::exchange(over_, {});
      const SteadyTime next = due_.empty() ? SteadyTime::max() : due_.top().first;
      const auto sooner = [this, next]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !over_.empty() || (!due_.empty() && due_.top().first < next);
      };
      if (over.empty() && next > clock.SteadyNow()) {
        clock.WaitUntil(mutex_, changed_, stop, next, sooner);
        continue;
      }
      if (next > clock.SteadyNow()) continue;
      index = due_.top().second;
      due_.pop();
    }
    Try(index);
  }
}

void AgentSwarm::Try(size_t index) {
  MutexLock lock(mutex_);
  Agent& agent = agents_[index];
  ++attempts_;
  ++open_;
  agent.attempt = new Attempt(*this, index, agent.host, agent.credentials);
  agent.attempt->Begin();
}

uint64_t AgentSwarm::NextSegment(size_t index) {
  MutexLock lock(mutex_);
  return agents_[index].segment++;
}

void AgentSwarm::Acked(size_t index) {
  MutexLock lock(mutex_);
  if (!std::exchange(agents_[index].streaming, true)) ++streaming_;
}

void AgentSwarm::Ended(size_t index, const absl::Status& status, bool welcomed,
                       absl::Duration life) {
  MutexLock lock(mutex_);
  Agent& agent = agents_[index];
  over_.emplace_back(std::exchange(agent.attempt, nullptr));
  if (std::exchange(agent.streaming, false)) --streaming_;
  if (!absl::IsUnavailable(status)) last_error_ = status.ToString();
  --open_;
  if (!stopping_) {
    due_.emplace(SteadyAfter(Clock::Real().SteadyNow(), agent.backoff.Next(status, welcomed, life)),
                 index);
  }
  changed_.notify_all();
}

size_t AgentSwarm::streaming() const {
  MutexLock lock(mutex_);
  return streaming_;
}

uint64_t AgentSwarm::attempts() const {
  MutexLock lock(mutex_);
  return attempts_;
}

std::string AgentSwarm::last_error() const {
  MutexLock lock(mutex_);
  return last_error_;
}

}  // namespace fleet::test
