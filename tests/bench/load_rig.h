#pragma once

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/status_macros.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/bench/trace.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet::bench {

inline constexpr absl::Duration kPatience = absl::Seconds(60);

/// What an agent sends, collection by collection, encoded before anything is measured.
struct Timeline {
  struct Message {
    v1::AgentMessage message;
    uint64_t segment = 0;
    uint64_t end_index = 0;  // the ack that covers it
    size_t samples = 0;
  };
  std::vector<Message> messages;
};

/// `count` of `rounds` from the `offset`-th on, over and over, one message per `interval`.
Timeline MakeTimeline(const std::vector<Round>& rounds, size_t offset, size_t count,
                      absl::Duration interval);
/// A few of them, each at another offset of the trace.
std::vector<Timeline> MakeTimelines(size_t rounds_each);

/// One stream to the collector, over a connection of its own. gRPC's threads call it back.
class SimulatedAgent final
    : public grpc::ClientBidiReactor<v1::AgentMessage, v1::CollectorMessage> {
 public:
  SimulatedAgent(uint16_t port, std::string host,
                 const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                 const Timeline& timeline)
      : timeline_(timeline) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::Ingest::NewStub(
        grpc::CreateCustomChannel(absl::StrCat("localhost:", port), credentials, arguments));
    v1::Hello& hello = *hello_.mutable_hello();
    hello.set_host(std::move(host));
    hello.set_agent_version("load");
    hello.set_epoch(1);
    hello.set_interval_seconds(1);
    stub_->async()->Upload(&context_, this);
    AddHold();
    StartWrite(&hello_);
    StartRead(&received_);
    StartCall();
  }

  /// Whether the collector took the hello and Play may be called.
  bool welcome() const { return welcome_ && hello_sent_; }
  bool idle() const { return idle_; }
  size_t acked_samples() const { return acked_samples_; }

  /// Sends up to `count` more messages, one after the other, until `until`; idle() when all that
  /// was sent is acknowledged.
  void Play(size_t count, absl::Time until) {
    idle_ = false;
    limit_ = std::min(timeline_.messages.size(), next_ + count);
    until_ = until;
    SendNext();
  }

  void End() {
    context_.TryCancel();
    RemoveHold();
    FLEET_ASSERT(test::WaitFor([this] { return done_.load(); }, kPatience));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;
    if (!hello_sent_) {
      hello_sent_ = true;
    } else {
      SendNext();
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (received_.has_welcome()) welcome_ = true;
    if (received_.has_ack()) Acked(received_.ack());
    StartRead(&received_);
  }

  void OnDone(const grpc::Status& status) override {
    if (status.error_code() != grpc::StatusCode::CANCELLED) {
      std::fprintf(stderr, "stream ended: %s\n", status.error_message().c_str());
    }
    done_ = true;
  }

 private:
  void SendNext() {
    if (next_ < limit_ && absl::Now() < until_) {
      const Timeline::Message& message = timeline_.messages[next_++];
      StartWrite(&message.message);
      return;
    }
    target_ = next_;
    if (acked_ == target_) idle_ = true;
  }

  void Acked(const v1::Ack& ack) {
    size_t acked = acked_;
    while (acked < timeline_.messages.size()) {
      const Timeline::Message& message = timeline_.messages[acked];
      if (std::pair(message.segment, message.end_index) >
          std::pair(ack.segment(), ack.next_index())) {
        break;
      }
      acked_samples_ += message.samples;
      ++acked;
    }
    acked_ = acked;
    if (acked == target_) idle_ = true;
  }

  const Timeline& timeline_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  v1::AgentMessage hello_;
  v1::CollectorMessage received_;
  size_t next_ = 0;
  size_t limit_ = 0;
  absl::Time until_;
  std::atomic<size_t> acked_ = 0;
  std::atomic<size_t> target_ = SIZE_MAX;
  std::atomic<size_t> acked_samples_ = 0;
  std::atomic<bool> hello_sent_ = false;
  std::atomic<bool> welcome_ = false;
  std::atomic<bool> idle_ = true;
  std::atomic<bool> done_ = false;
};

/// The program, and what /proc says of it.
class CollectorProcess {
 public:
  /// `yaml`: how it knows its agents.
  explicit CollectorProcess(const std::string& yaml) {
    test::WriteFile(dir_ / "collector.yaml",
                    absl::StrCat("grpc:\n  listen: 127.0.0.1:0\nhttp:\n  listen: 127.0.0.1:0\n",
                                 "limits:\n  reports_per_second: 1000000000\n"
                                 // All of them come from one address, at once.
                                 "  connections_per_address: 100000\n"
                                 "  handshakes_per_second: 1000000\n",
                                 "data_dir: ", dir_ / "data", "\n", yaml));
    process_.emplace(
        std::vector<std::string>{FLEET_BIN_DIR "/fleet-collector", "--config",
                                 dir_ / "collector.yaml", "--ports-file", dir_ / "ports"},
        test::Process::Options{
            .output_path = dir_ / "log", .environment = {}, .user = {}, .working_directory = {}});
    const bool up = test::WaitFor(
        [this] { return absl::StrContains(test::ReadFile(dir_ / "ports"), "http="); });
    if (!up) std::fprintf(stderr, "%s\n", test::ReadFile(dir_ / "log").c_str());
    FLEET_ASSERT(up);
    for (const absl::string_view line : absl::StrSplit(test::ReadFile(dir_ / "ports"), '\n')) {
      const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(line, '=');
      uint32_t port = 0;
      if (!absl::SimpleAtoi(halves.second, &port)) continue;
      (halves.first == "grpc" ? grpc_port_ : http_port_) = static_cast<uint16_t>(port);
    }
  }

  uint16_t grpc_port() const { return grpc_port_; }

  /// Of /metrics/self.
  double SelfMetric(absl::string_view series) const {
    return test::MetricIn(
        test::HttpGet(absl::StrCat("http://127.0.0.1:", http_port_, "/metrics/self")).body, series);
  }

  /// Of all its threads, also those that ended.
  double CpuSeconds() const {
    clockid_t clock = 0;
    timespec spent = {};
    FLEET_ASSERT(::clock_getcpuclockid(process_->pid(), &clock) == 0);
    FLEET_ASSERT(::clock_gettime(clock, &spent) == 0);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
  }

  /// Bytes of the segment files in its journal.
  double JournalBytes() const {
    double bytes = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(dir_ / "data/journal/hosts")) {
      if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
    }
    return bytes;
  }

  double RssBytes() const {
    const std::string text = test::ReadFile(absl::StrCat("/proc/", process_->pid(), "/statm"));
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    double pages = 0;
    FLEET_ASSERT(words.size() > 1 && absl::SimpleAtod(words[1], &pages));
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }

  /// TCP connections that its gRPC port has now.
  size_t Connections() const {
    const std::string port = absl::StrFormat(":%04X ", grpc_port_);
    size_t count = 0;
    // gRPC listens on IPv6 sockets also for an IPv4 address.
    const std::string tcp =
        absl::StrCat(test::ReadFile("/proc/net/tcp"), test::ReadFile("/proc/net/tcp6"));
    for (const absl::string_view line : absl::StrSplit(tcp, '\n', absl::SkipEmpty())) {
      const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() > 3 && absl::StrContains(absl::StrCat(words[1], " "), port) &&
          words[3] == "01") {
        ++count;
      }
    }
    return count;
  }

 private:
  const test::TempDir dir_;
  std::optional<test::Process> process_;
  uint16_t grpc_port_ = 0;
  uint16_t http_port_ = 0;
};

using Agents = std::vector<std::unique_ptr<SimulatedAgent>>;

void WaitForWelcome(const Agents& agents);
/// Lets every agent send `count` messages, but none after `span`, and waits for all acks. Returns
/// the seconds that took.
double Play(const Agents& agents, size_t count, absl::Duration span);
size_t AckedSamples(const Agents& agents);

/// Bytes that this process has sent over TCP and that have arrived, all sockets together.
uint64_t BytesSent();

}  // namespace fleet::bench
