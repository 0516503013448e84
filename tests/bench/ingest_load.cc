// Simulated agents against a real fleet-collector: ingest rate, memory per agent and per series,
// bytes on the wire, syncs.
// Not a test and not a Google Benchmark: tests/bench/run starts it and reads its key=value lines.
//
//   ingest_load load AGENTS SECONDS   mTLS, a certificate and a connection per agent
//   ingest_load hold HOSTS            plaintext; prints grpc=PORT, stays until stdin ends
//   ingest_load wire INTERVAL         mTLS; what one agent's connection carries, seconds apart
//   ingest_load syncs HOSTS INTERVAL SECONDS   plaintext; fsyncs of the journal
#include <signal.h>
#include <sys/stat.h>

#include <iostream>

#include "common/client_credentials.h"
#include "tests/bench/load_rig.h"

namespace fleet::bench {
namespace {

constexpr size_t kRoundsPerTimeline = 2'400;

void Print(absl::string_view key, double value) {
  std::cout << key << "=" << absl::StrFormat("%.6g", value) << std::endl;
}

/// A CA, the collector's certificate in files, and credentials of agents.
class Tls {
 public:
  Tls() {
    const test::TlsIdentity server = ca_.Issue(Role::kCollector, "collector");
    test::WriteFile(dir_ / "ca.pem", server.ca);
    test::WriteFile(dir_ / "cert.pem", server.cert);
    test::WriteFile(dir_ / "key.pem", server.key);
    FLEET_ASSERT(::chmod((dir_ / "key.pem").c_str(), 0600) == 0);
  }
  std::string yaml() const {
    return absl::StrCat("tls:\n  ca: ", dir_ / "ca.pem", "\n  cert: ", dir_ / "cert.pem",
                        "\n  key: ", dir_ / "key.pem", "\n");
  }
  std::shared_ptr<grpc::ChannelCredentials> Credentials(const std::string& host) const {
    const test::TlsIdentity agent = ca_.Issue(Role::kAgent, host);
    const auto made = CollectorCredentials({agent.ca, "", agent.cert, agent.key}, Clock::Real());
    FLEET_ASSERT(made.ok());
    return *made;
  }

 private:
  const test::TestCa ca_;
  const test::TempDir dir_;
};

int Load(size_t count, absl::Duration span) {
  const std::vector<Timeline> timelines = MakeTimelines(kRoundsPerTimeline);
  const Tls tls;
  std::vector<std::shared_ptr<grpc::ChannelCredentials>> credentials;
  for (size_t i = 0; i < count; ++i) {
    credentials.push_back(tls.Credentials(absl::StrCat("host", i)));
  }
  const CollectorProcess collector(tls.yaml());
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

/// One agent that sends each collection by itself, as they come in life: what its connection
/// carries towards the collector, with everything but IP and TCP.
int Wire(int interval) {
  constexpr size_t kRounds = 600;
  const std::vector<Round> rounds = LoadTrace(interval);
  const Timeline timeline = MakeTimeline(rounds, 0, kRounds, absl::Seconds(interval));
  const Tls tls;
  const CollectorProcess collector(tls.yaml() + "journal: {group_interval: 10ms}\n");
  Agents agents;
  agents.push_back(std::make_unique<SimulatedAgent>(collector.grpc_port(), "host0",
                                                    tls.Credentials("host0"), timeline));
  WaitForWelcome(agents);
  const uint64_t before = BytesSent();
  for (size_t i = 0; i < kRounds; ++i) Play(agents, 1, kPatience);
  const auto samples = static_cast<double>(AckedSamples(agents));
  Print("samples", samples);
  Print("bytes_per_sample", static_cast<double>(BytesSent() - before) / samples);
  agents[0]->End();
  return 0;
}

/// Agents that send one after the other, each once in `interval`, for `span`.
int Syncs(size_t count, absl::Duration interval, absl::Duration span) {
  const std::vector<Timeline> timelines = MakeTimelines(static_cast<size_t>(span / interval) + 2);
  const CollectorProcess collector("insecure: true\n");
  Agents agents;
  for (size_t i = 0; i < count; ++i) {
    agents.push_back(std::make_unique<SimulatedAgent>(
        collector.grpc_port(), absl::StrCat("host", i), grpc::InsecureChannelCredentials(),
        timelines[i % timelines.size()]));
  }
  WaitForWelcome(agents);
  constexpr char kSyncs[] = "fleet_collector_journal_syncs_total";
  const double before = collector.SelfMetric(kSyncs);
  const absl::Time start = absl::Now();
  size_t sent = 0;
  test::WaitFor(
      [&] {
        const absl::Duration passed = absl::Now() - start;
        const auto due =
            static_cast<size_t>(absl::FDivDuration(passed, interval) * static_cast<double>(count));
        for (; sent < due; ++sent) agents[sent % count]->Play(1, absl::Now() + kPatience);
        return passed >= span;
      },
      span + kPatience);
  Print("messages", static_cast<double>(sent));
  Print("syncs_per_second", (collector.SelfMetric(kSyncs) - before) / absl::ToDoubleSeconds(span));
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
  uint32_t interval = 0;
  if (words.size() == 3 && words[1] == "wire" && absl::SimpleAtoi(words[2], &interval) &&
      interval > 0) {
    return Wire(static_cast<int>(interval));
  }
  if (words.size() == 5 && words[1] == "syncs" && absl::SimpleAtoi(words[2], &count) &&
      absl::SimpleAtoi(words[3], &interval) && interval > 0 &&
      absl::SimpleAtoi(words[4], &seconds)) {
    return Syncs(count, absl::Seconds(interval), absl::Seconds(seconds));
  }
  std::cerr << "usage: ingest_load load AGENTS SECONDS | hold HOSTS | wire INTERVAL | "
               "syncs HOSTS INTERVAL SECONDS\n";
  return 64;
}

}  // namespace
}  // namespace fleet::bench

int main(int argc, char** argv) { return fleet::bench::Main(argc, argv); }
