#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "agent/checks/checks.h"
#include "agent/parse/loadavg.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_load1", MetricType::kGauge, "1m load average.", true},
    {"node_load5", MetricType::kGauge, "5m load average.", true},
    {"node_load15", MetricType::kGauge, "15m load average.", true},
};

class LoadCheck final : public Check {
 public:
  explicit LoadCheck(const CheckEnv& env) : fs_(env.fs), options_(env.options.load) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const std::string text, fs_.Read("proc/loadavg"));
    FLEET_ASSIGN_OR_RETURN(const LoadAverage load, ParseLoadAverage(text));
    run.Add(kMetrics[0], load.one);
    run.Add(kMetrics[1], load.five);
    run.Add(kMetrics[2], load.fifteen);

    const double cpus = static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
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
  const HostFs fs_;
  const LoadOptions options_;
};

}  // namespace

std::unique_ptr<Check> MakeLoadCheck(const CheckEnv& env) {
  return std::make_unique<LoadCheck>(env);
}

}  // namespace fleet::agent
