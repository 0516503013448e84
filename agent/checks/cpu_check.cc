#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/checks/checks.h"
#include "agent/checks/pressure_window.h"
#include "agent/kept_file.h"
#include "agent/parse/softnet.h"
#include "agent/parse/stat.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_cpu_seconds_total", MetricType::kCounter, "Seconds the CPUs spent in each mode.", true},
    {"node_cpu_guest_seconds_total", MetricType::kCounter,
     "Seconds the CPUs spent in guests (VMs) for each mode.", true},
    {"node_boot_time_seconds", MetricType::kGauge, "Node boot time, in unixtime.", true},
    {"node_context_switches_total", MetricType::kCounter, "Total number of context switches.",
     true},
    {"node_forks_total", MetricType::kCounter, "Total number of forks.", true},
    {"node_intr_total", MetricType::kCounter, "Total number of interrupts serviced.", true},
    {"node_procs_running", MetricType::kGauge, "Number of processes in runnable state.", true},
    {"node_procs_blocked", MetricType::kGauge,
     "Number of processes blocked waiting for I/O to complete.", true},
    {"node_softnet_processed_total", MetricType::kCounter, "Number of processed packets.", true},
    {"node_softnet_dropped_total", MetricType::kCounter, "Number of dropped packets.", true},
    {"node_softnet_times_squeezed_total", MetricType::kCounter,
     "Number of times processing packets ran out of quota.", true},
};
constexpr const MetricDesc& kCpuSeconds = kMetrics[0];
constexpr const MetricDesc& kGuestSeconds = kMetrics[1];

/// Label values of node_cpu_seconds_total, in the order of CpuMode.
constexpr absl::string_view kModes[] = {"user",   "nice", "system",  "idle",
                                        "iowait", "irq",  "softirq", "steal"};
constexpr absl::Duration kPressureWindow = absl::Minutes(5);
/// Below it, time taken by the hypervisor is not worth a word.
constexpr double kStealWorthNamingRatio = 0.05;

double Seconds(uint64_t ticks) { return static_cast<double>(ticks) / 100; }

void EmitCpu(CheckRun& run, const CpuTicks& cpu) {
  const absl::AlphaNum number(cpu.cpu);
  const Label label{"cpu", number.Piece()};
  for (size_t mode = 0; mode < std::size(kModes); ++mode) {
    run.Add(kCpuSeconds, {label, {"mode", kModes[mode]}}, Seconds(cpu.ticks[mode]));
  }
  run.Add(kGuestSeconds, {label, {"mode", "user"}}, Seconds(cpu[CpuMode::kGuest]));
  run.Add(kGuestSeconds, {label, {"mode", "nice"}}, Seconds(cpu[CpuMode::kGuestNice]));
}

void EmitStat(CheckRun& run, const Stat& stat) {
  for (const CpuTicks& cpu : stat.cpus) EmitCpu(run, cpu);
  run.Add(kMetrics[2], absl::ToDoubleSeconds(stat.boot - absl::UnixEpoch()));
  run.Add(kMetrics[3], static_cast<double>(stat.context_switches));
  run.Add(kMetrics[4], static_cast<double>(stat.forks));
  run.Add(kMetrics[5], static_cast<double>(stat.interrupts));
  run.Add(kMetrics[6], static_cast<double>(stat.procs_running));
  run.Add(kMetrics[7], static_cast<double>(stat.procs_blocked));
}

/// How the CPUs spent the time between two readings, as ratios.
struct Usage {
  double busy;
  double steal;
};
std::optional<Usage> UsageBetween(const CpuTicks& before, const CpuTicks& after) {
  const auto grown = [&](CpuMode mode) {
    return after[mode] > before[mode] ? static_cast<double>(after[mode] - before[mode]) : 0.0;
  };
  // `user` and `nice` already hold the guests' time.
  double total = 0;
  for (size_t mode = 0; mode < std::size(kModes); ++mode) total += grown(CpuMode(mode));
  if (total <= 0) return std::nullopt;
  return Usage{.busy = 1 - (grown(CpuMode::kIdle) + grown(CpuMode::kIowait)) / total,
               .steal = grown(CpuMode::kSteal) / total};
}

class CpuCheck final : public Check {
 public:
  explicit CpuCheck(const CheckEnv& env)
      : options_(env.options.cpu),
        stat_(env.fs, "proc/stat", KeptFile::Records::kOne),
        softnet_(env.fs, "proc/net/softnet_stat", KeptFile::Records::kMany),
        pressure_(env.fs, "proc/pressure/cpu", KeptFile::Records::kOne) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, stat_.Read());
    FLEET_ASSIGN_OR_RETURN(const Stat stat, ParseStat(text));
    EmitStat(run, stat);
    const std::optional<Usage> usage = before_ ? UsageBetween(*before_, stat.all) : std::nullopt;
    before_ = stat.all;
    FLEET_RETURN_IF_ERROR(EmitSoftnet(run));
    return Judge(run, stat.cpus.size(), usage);
  }

 private:
  absl::Status EmitSoftnet(CheckRun& run) {
    const absl::StatusOr<absl::string_view> text = softnet_.Read();
    if (absl::IsNotFound(text.status())) return absl::OkStatus();  // a kernel without network
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(const std::vector<SoftnetCpu> cpus, ParseSoftnet(*text));
    for (const SoftnetCpu& cpu : cpus) {
      const absl::AlphaNum number(cpu.cpu);
      const Label label{"cpu", number.Piece()};
      run.Add(kMetrics[8], {label}, cpu.processed);
      run.Add(kMetrics[9], {label}, cpu.dropped);
      run.Add(kMetrics[10], {label}, cpu.times_squeezed);
    }
    return absl::OkStatus();
  }

  /// Being busy is what CPUs are for: the verdict looks at tasks that had to wait, and only over
  /// minutes.
  absl::Status Judge(CheckRun& run, size_t cpus, const std::optional<Usage>& usage) {
    std::string reason = absl::StrCat(cpus, cpus == 1 ? " CPU" : " CPUs");
    if (usage) absl::StrAppend(&reason, " ", HumanPercent(usage->busy), " busy");
    if (usage && usage->steal >= kStealWorthNamingRatio) {
      absl::StrAppend(&reason, ", ", HumanPercent(usage->steal), " taken by the hypervisor");
    }
    FLEET_ASSIGN_OR_RETURN(const std::optional<Pressure> pressure, ReadPressure(pressure_));
    if (pressure && pressure->some) {
      const double ratio =
          window_.Update(run.steady_now(), *pressure->some, pressure->some->avg300);
      absl::StrAppend(&reason, ", tasks waited for a CPU ", HumanPercent(ratio),
                      " of the last 5 min");
      if (ratio >= options_.pressure_warn_ratio) run.Raise(Verdict::kWarn, reason);
    }
    run.SetReason(reason);
    return absl::OkStatus();
  }

  const CpuOptions options_;
  KeptFile stat_;
  KeptFile softnet_;
  KeptFile pressure_;
  std::optional<CpuTicks> before_;
  PressureWindow window_{kPressureWindow};
};

}  // namespace

std::unique_ptr<Check> MakeCpuCheck(const CheckEnv& env) { return std::make_unique<CpuCheck>(env); }

}  // namespace fleet::agent
