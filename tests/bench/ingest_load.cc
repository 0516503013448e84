// Simulated agents against a real fleet-collector: ingest rate, memory per agent and per series.
// Not a test and not a Google Benchmark: tests/bench/run starts it and reads its key=value lines.
//
//   ingest_load load AGENTS SECONDS   mTLS, a certificate and a connection per agent
//   ingest_load hold HOSTS            plaintext; prints grpc=PORT, stays until stdin ends
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/client_credentials.h"
#include "common/segment/encoder.h"
#include "common/status_macros.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/bench/trace.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet::bench {
namespace {

constexpr size_t kTimelines = 4;
constexpr size_t kRoundsPerTimeline = 2'400;
constexpr absl::Duration kPatience = absl::Seconds(60);

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

/// The trace from its `offset`-th second on, over and over, one message per second.
Timeline MakeTimeline(const std::vector<Round>& rounds, size_t offset, size_t count) {
  Timeline timeline;
  Round live = rounds[0];
  const absl::Time start = absl::Now();
  std::optional<SegmentEncoder> encoder;
  uint64_t segment = 0;
  for (size_t n = 0; n < count; ++n) {
    const Round& round = rounds[(offset + n) % rounds.size()];
    const absl::Time now = start + absl::Seconds(n);
    if (!encoder.has_value() || encoder->Full(now)) encoder.emplace(SegmentId{1, segment++}, now);
    Timeline::Message& message = timeline.messages.emplace_back();
    v1::Records& records = *message.message.mutable_records();
    records.set_epoch(1);
    records.set_segment(encoder->id().number);
    records.set_first_index(encoder->next_index());
    records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(start - absl::UnixEpoch()));
    for (size_t i = 0; i < round.size(); ++i) {
      live[i].start = now;
      live[i].duration = round[i].duration;
      live[i].reason = round[i].reason;
      live[i].items = round[i].items;
      live[i].samples.SetValues(round[i].samples.values());
      FLEET_ASSERT(encoder->Append(live[i], *records.mutable_data()).ok());
      message.samples += live[i].samples.size();
    }
    message.segment = encoder->id().number;
    message.end_index = encoder->next_index();
  }
  return timeline;
}

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
  explicit CollectorProcess(const std::string& tls_yaml) {
    test::WriteFile(dir_ / "collector.yaml",
                    absl::StrCat("grpc:\n  listen: 127.0.0.1:0\nhttp:\n  listen: 127.0.0.1:0\n",
                                 "limits:\n  reports_per_second: 1000000000\n"
                                 // All of them come from one address, at once.
                                 "  connections_per_address: 100000\n"
                                 "  handshakes_per_second: 1000000\n",
                                 "data_dir: ", dir_ / "data", "\n", tls_yaml));
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
      if (absl::SimpleAtoi(halves.second, &port) && halves.first == "grpc") {
        grpc_port_ = static_cast<uint16_t>(port);
      }
    }
  }

  uint16_t grpc_port() const { return grpc_port_; }

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
};

using Agents = std::vector<std::unique_ptr<SimulatedAgent>>;

void WaitForWelcome(const Agents& agents) {
  FLEET_ASSERT(test::WaitFor(
      [&] {
        return std::all_of(agents.begin(), agents.end(),
                           [](const auto& agent) { return agent->welcome(); });
      },
      kPatience));
}

/// Lets every agent send and waits for all acks. Returns the seconds that took.
double Play(const Agents& agents, size_t count, absl::Duration span) {
  const absl::Time start = absl::Now();
  for (const auto& agent : agents) agent->Play(count, start + span);
  FLEET_ASSERT(test::WaitFor(
      [&] {
        return std::all_of(agents.begin(), agents.end(),
                           [](const auto& agent) { return agent->idle(); });
      },
      span + kPatience));
  return absl::ToDoubleSeconds(absl::Now() - start);
}

size_t AckedSamples(const Agents& agents) {
  size_t samples = 0;
  for (const auto& agent : agents) samples += agent->acked_samples();
  return samples;
}

void Print(absl::string_view key, double value) {
  std::cout << key << "=" << absl::StrFormat("%.6g", value) << std::endl;
}

std::vector<Timeline> MakeTimelines(size_t rounds_each) {
  const std::vector<Round> rounds = LoadTrace(1);
  std::vector<Timeline> timelines;
  for (size_t i = 0; i < kTimelines; ++i) {
    timelines.push_back(MakeTimeline(rounds, i * rounds.size() / kTimelines, rounds_each));
  }
  return timelines;
}

int Load(size_t count, absl::Duration span) {
  const std::vector<Timeline> timelines = MakeTimelines(kRoundsPerTimeline);
  test::TestCa ca;
  const test::TempDir dir;
  const test::TlsIdentity server = ca.Issue(Role::kCollector, "collector");
  test::WriteFile(dir / "ca.pem", server.ca);
  test::WriteFile(dir / "cert.pem", server.cert);
  test::WriteFile(dir / "key.pem", server.key);
  FLEET_ASSERT(::chmod((dir / "key.pem").c_str(), 0600) == 0);
  std::vector<std::shared_ptr<grpc::ChannelCredentials>> credentials;
  for (size_t i = 0; i < count; ++i) {
    const test::TlsIdentity agent = ca.Issue(Role::kAgent, absl::StrCat("host", i));
    const auto made = CollectorCredentials({agent.ca, "", agent.cert, agent.key}, Clock::Real());
    FLEET_ASSERT(made.ok());
    credentials.push_back(*made);
  }
  const CollectorProcess collector(
      absl::StrCat("tls:\n  ca: ", dir / "ca.pem", "\n  cert: ", dir / "cert.pem",
                   "\n  key: ", dir / "key.pem", "\ndata_dir: ", dir / "data", "\n"));
  const auto connect = [&](Agents& agents, size_t i) {
    agents.push_back(std::make_unique<SimulatedAgent>(collector.grpc_port(),
                                                      absl::StrCat("host", i), credentials[i],
                                                      timelines[i % timelines.size()]));
  };
  Agents agents;
  // What the first connections cost once and for all is not a cost per agent.
  const size_t warm = std::min<size_t>(10, count / 2);
  for (size_t i = 0; i < warm; ++i) connect(agents, i);
  WaitForWelcome(agents);
  const double before = collector.RssBytes();
  for (size_t i = warm; i < count; ++i) connect(agents, i);
  WaitForWelcome(agents);
  Print("connections", static_cast<double>(collector.Connections()));
  const double connected = collector.RssBytes();
  Print("bytes_per_agent", (connected - before) / static_cast<double>(count - warm));
  Play(agents, 1, kPatience);
  const size_t series = AckedSamples(agents);
  Print("series", static_cast<double>(series));
  Print("bytes_per_series", (collector.RssBytes() - connected) / static_cast<double>(series));

  const double cpu = collector.CpuSeconds();
  const double seconds = Play(agents, kRoundsPerTimeline, span);
  const double spent = collector.CpuSeconds() - cpu;
  const auto samples = static_cast<double>(AckedSamples(agents) - series);
  Print("samples", samples);
  Print("seconds", seconds);
  Print("cpu_seconds", spent);
  Print("samples_per_cpu_second", samples / spent);
  Print("journal_bytes_per_sample",
        collector.JournalBytes() / static_cast<double>(AckedSamples(agents)));
  for (const auto& agent : agents) agent->End();
  return 0;
}

int Hold(size_t count) {
  const std::vector<Timeline> timelines = MakeTimelines(4);
  const CollectorProcess collector("insecure: true\n");
  Agents agents;
  for (size_t i = 0; i < count; ++i) {
    agents.push_back(std::make_unique<SimulatedAgent>(
        collector.grpc_port(), absl::StrCat("host", i), grpc::InsecureChannelCredentials(),
        timelines[i % timelines.size()]));
  }
  WaitForWelcome(agents);
  Play(agents, 1, kPatience);
  std::cout << "grpc=" << collector.grpc_port() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  for (const auto& agent : agents) agent->End();
  return 0;
}

int Main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::vector<absl::string_view> words(argv, argv + argc);
  uint32_t count = 0;
  uint32_t seconds = 0;
  if (words.size() == 4 && words[1] == "load" && absl::SimpleAtoi(words[2], &count) && count > 1 &&
      absl::SimpleAtoi(words[3], &seconds)) {
    return Load(count, absl::Seconds(seconds));
  }
  if (words.size() == 3 && words[1] == "hold" && absl::SimpleAtoi(words[2], &count)) {
    return Hold(count);
  }
  std::cerr << "usage: ingest_load load AGENTS SECONDS | hold HOSTS\n";
  return 64;
}

}  // namespace
}  // namespace fleet::bench

int main(int argc, char** argv) { return fleet::bench::Main(argc, argv); }
