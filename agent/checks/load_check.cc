#include <algorithm>

#include "absl/strings/str_format.h"
#include "agent/checks/checks.h"
#include "agent/checks/pressure_window.h"
#include "agent/kept_file.h"
#include "agent/parse/loadavg.h"
#include "agent/parse/stat.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_load1", MetricType::kGauge, "1m load average.", true},
    {"node_load5", MetricType::kGauge, "5m load average.", true},
    {"node_load15", MetricType::kGauge, "15m load average.", true},
    {"node_pressure_cpu_waiting_seconds_total", MetricType::kCounter,
     "Total time in seconds that processes have waited for CPU time.", true},
    {"node_pressure_io_waiting_seconds_total", MetricType::kCounter,
     "Total time in seconds that processes have waited due to IO congestion.", true},
    {"node_pressure_io_stalled_seconds_total", MetricType::kCounter,
     "Total time in seconds no process could make progress due to IO congestion.", true},
};
constexpr const MetricDesc& kCpuWaiting = kMetrics[3];
constexpr const MetricDesc& kIoWaiting = kMetrics[4];
constexpr const MetricDesc& kIoStalled = kMetrics[5];

class LoadCheck final : public Check {
 public:
  explicit LoadCheck(const CheckEnv& env)
      : fs_(env.fs),
        options_(env.options.load),
        loadavg_(env.fs, "proc/loadavg", KeptFile::Records::kOne),
        cpu_pressure_(env.fs, "proc/pressure/cpu", KeptFile::Records::kOne),
        io_pressure_(env.fs, "proc/pressure/io", KeptFile::Records::kOne),
        online_(env.fs, "sys/devices/system/cpu/online", KeptFile::Records::kOne) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, loadavg_.Read());
    FLEET_ASSIGN_OR_RETURN(const LoadAverage load, ParseLoadAverage(text));
    run.Add(kMetrics[0], load.one);
    run.Add(kMetrics[1], load.five);
    run.Add(kMetrics[2], load.fifteen);
    FLEET_RETURN_IF_ERROR(EmitPressure(run));

    FLEET_ASSIGN_OR_RETURN(const double cpus, CpusOnline());
    const double per_cpu = load.five / cpus;
    run.SetReason(absl::StrFormat("load %.2f %.2f %.2f on %.0f CPUs", load.one, load.five,
                                  load.fifteen, cpus));
    if (per_cpu >= options_.warn_per_cpu) {
      run.Raise(per_cpu >= options_.crit_per_cpu ? Verdict::kCrit : Verdict::kWarn,
                absl::StrFormat("load %.1f for 5 min on %.0f CPUs, limit %.0f per CPU", load.five,
                                cpus, options_.warn_per_cpu));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status EmitPressure(CheckRun& run) {
    FLEET_ASSIGN_OR_RETURN(const std::optional<Pressure> cpu, ReadPressure(cpu_pressure_));
    if (cpu && cpu->some) run.Add(kCpuWaiting, PressureSeconds(*cpu->some));
    FLEET_ASSIGN_OR_RETURN(const std::optional<Pressure> io, ReadPressure(io_pressure_));
    if (io && io->some) run.Add(kIoWaiting, PressureSeconds(*io->some));
    if (io && io->full) run.Add(kIoStalled, PressureSeconds(*io->full));
    return absl::OkStatus();
  }

  /// Of the host and not of this process (sysconf), so that a fixture host has its own.
  absl::StatusOr<double> CpusOnline() {
    if (const auto list = online_.Read(); list.ok()) {
      return CountCpuList(*list);
    }
    const auto text = fs_.Read("proc/stat");  // a container without /sys
    if (absl::IsNotFound(text.status())) return 1;
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(const Stat stat, ParseStat(*text));
    return static_cast<double>(std::max<size_t>(1, stat.cpus.size()));
  }

  const HostFs fs_;
  const LoadOptions options_;
  KeptFile loadavg_;
  KeptFile cpu_pressure_;
  KeptFile io_pressure_;
  KeptFile online_;
};

}  // namespace

std::unique_ptr<Check> MakeLoadCheck(const CheckEnv& env) {
  return std::make_unique<LoadCheck>(env);
}

}  // namespace fleet::agent
