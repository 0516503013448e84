#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/checks/oom_history.h"
#include "agent/checks/pressure_window.h"
#include "agent/kept_file.h"
#include "agent/parse/meminfo.h"
#include "agent/parse/uptime.h"
#include "agent/parse/vmstat.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_memory_*", MetricType::kGauge, "Memory information field %s.", true},
    {"node_vmstat_*", MetricType::kUntyped, "/proc/vmstat information field %s.", true},
    {"node_pressure_memory_waiting_seconds_total", MetricType::kCounter,
     "Total time in seconds that processes have waited for memory.", true},
    {"node_pressure_memory_stalled_seconds_total", MetricType::kCounter,
     "Total time in seconds no process could make progress due to memory congestion.", true},
};
constexpr const MetricDesc& kMemory = kMetrics[0];
constexpr const MetricDesc& kVmstat = kMetrics[1];
constexpr const MetricDesc& kWaiting = kMetrics[2];
constexpr const MetricDesc& kStalled = kMetrics[3];

constexpr absl::Duration kPressureWindow = absl::Minutes(1);
/// From here on waiting for memory is worth a word, and a nearly full swap is trouble: full of what
/// nobody needs, it is not.
constexpr double kPressureWorthNamingRatio = 0.01;
constexpr double kSwapPressureRatio = 0.05;
/// Stalls of 300 ms within 2 s call for a run at once. An agent without privilege may only ask for
/// windows that are multiples of 2 s.
constexpr absl::string_view kPressureTrigger = "some 300000 2000000";

/// What the verdict is about.
struct Facts {
  double total_bytes = 0;
  double available_bytes = 0;
  double swap_total_bytes = 0;
  double swap_used_bytes = 0;
  std::optional<double> pressure;  // share of the last minute some task waited
  OomKills oom;
};

Facts MemoryFacts(const NamedValues& meminfo) {
  const auto get = [&meminfo](absl::string_view name) { return meminfo.Find(name).value_or(0); };
  Facts facts;
  facts.total_bytes = get("MemTotal_bytes");
  const std::optional<double> available = meminfo.Find("MemAvailable_bytes");
  // Before Linux 3.14: what the kernel could give away at once, without shared memory.
  facts.available_bytes = available ? *available
                                    : std::max(0.0, get("MemFree_bytes") + get("Buffers_bytes") +
                                                        get("Cached_bytes") - get("Shmem_bytes"));
  facts.swap_total_bytes = get("SwapTotal_bytes");
  facts.swap_used_bytes = facts.swap_total_bytes - get("SwapFree_bytes");
  return facts;
}

std::string OomReason(const OomKills& oom, absl::Time now) {
  if (oom.recent > 0) {
    return absl::StrCat("out of memory: ", oom.recent, oom.recent == 1 ? " process" : " processes",
                        " killed, last ",
                        HumanDuration(std::max(absl::ZeroDuration(), now - oom.last_noticed)),
                        " ago (", oom.since_boot, " since boot)");
  }
  return absl::StrCat(oom.since_boot, oom.since_boot == 1 ? " process" : " processes",
                      " killed for want of memory since boot");
}

Verdict Grade(double value, double warn, double crit) {
  if (value >= crit) return Verdict::kCrit;
  return value >= warn ? Verdict::kWarn : Verdict::kOk;
}

void Judge(CheckRun& run, const Facts& facts, const MemoryOptions& options) {
  Verdict verdict = Verdict::kOk;
  std::vector<std::string> reasons;
  if (facts.oom.recent > 0) {
    verdict = Verdict::kWarn;
    reasons.push_back(OomReason(facts.oom, run.now()));
  }
  const double available = facts.available_bytes / facts.total_bytes;
  verdict = Worse(verdict,
                  Grade(-available, -options.available_warn_ratio, -options.available_crit_ratio));
  reasons.push_back(absl::StrCat(HumanBytes(facts.available_bytes), " of ",
                                 HumanBytes(facts.total_bytes), " available (",
                                 HumanPercent(available), ")"));
  const double pressure = facts.pressure.value_or(0);
  verdict =
      Worse(verdict, Grade(pressure, options.pressure_warn_ratio, options.pressure_crit_ratio));
  if (pressure >= kPressureWorthNamingRatio) {
    reasons.push_back(
        absl::StrCat("tasks waited for memory ", HumanPercent(pressure), " of the last minute"));
  }
  const double swap =
      facts.swap_total_bytes > 0 ? facts.swap_used_bytes / facts.swap_total_bytes : 0;
  if (swap >= options.swap_warn_ratio) {
    if (pressure >= kSwapPressureRatio) verdict = Worse(verdict, Verdict::kWarn);
    reasons.push_back(absl::StrCat("swap ", HumanPercent(swap), " full"));
  }
  if (facts.oom.recent == 0 && facts.oom.since_boot > 0) {
    reasons.push_back(OomReason(facts.oom, run.now()));
  }
  const std::string reason = absl::StrJoin(reasons, ", ");
  run.SetReason(reason);
  run.Raise(verdict, reason);
}

class MemoryCheck final : public Check {
 public:
  explicit MemoryCheck(const CheckEnv& env)
      : fs_(env.fs),
        options_(env.options.memory),
        meminfo_(env.fs, "proc/meminfo", KeptFile::Records::kOne),
        vmstat_(env.fs, "proc/vmstat", KeptFile::Records::kMany),
        pressure_(env.fs, "proc/pressure/memory", KeptFile::Records::kOne) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, meminfo_.Read());
    FLEET_ASSIGN_OR_RETURN(const NamedValues meminfo, ParseMeminfo(text));
    for (size_t i = 0; i < meminfo.size(); ++i) {
      run.AddNamed(kMemory, meminfo.name(i), meminfo.value(i));
    }
    Facts facts = MemoryFacts(meminfo);
    if (facts.total_bytes <= 0) return absl::InvalidArgumentError("proc/meminfo has no MemTotal");

    // What the other two files say wrongly must not hide that memory runs out.
    const absl::Status pressure = CollectPressure(run, facts);
    const absl::Status vmstat = CollectVmstat(run, facts);
    Judge(run, facts, options_);
    FLEET_RETURN_IF_ERROR(pressure);
    return vmstat;
  }

  std::vector<Watch> watches() const override {
    if (!has_pressure_) return {};
    return {{Watch::Kind::kPressure, "proc/pressure/memory", std::string(kPressureTrigger)}};
  }

 private:
  absl::Status CollectPressure(CheckRun& run, Facts& facts) {
    FLEET_ASSIGN_OR_RETURN(const std::optional<Pressure> pressure, ReadPressure(pressure_));
    has_pressure_ = pressure.has_value();
    if (!pressure) return absl::OkStatus();
    if (pressure->some) {
      run.Add(kWaiting, PressureSeconds(*pressure->some));
      facts.pressure = window_.Update(run.steady_now(), *pressure->some, pressure->some->avg60);
    }
    if (pressure->full) run.Add(kStalled, PressureSeconds(*pressure->full));
    return absl::OkStatus();
  }

  absl::Status CollectVmstat(CheckRun& run, Facts& facts) {
    const absl::StatusOr<absl::string_view> text = vmstat_.Read();
    if (absl::IsNotFound(text.status())) return absl::OkStatus();
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(const NamedValues vmstat, ParseVmstat(*text));
    for (size_t i = 0; i < vmstat.size(); ++i) {
      run.AddNamed(kVmstat, vmstat.name(i), vmstat.value(i));
    }
    const std::optional<double> kills = vmstat.Find("oom_kill");
    if (!kills) return absl::OkStatus();  // Linux 4.12 and older
    const absl::Duration uptime = boot_.empty() ? Uptime() : absl::InfiniteDuration();
    if (boot_.empty()) boot_ = BootId();
    facts.oom = NoteOomKills(run.memory(), boot_, uptime, static_cast<uint64_t>(*kills), run.now());
    return absl::OkStatus();
  }

  /// Asked once: an agent does not outlive its boot.
  std::string BootId() const {
    const auto id = fs_.ReadTrimmed("proc/sys/kernel/random/boot_id");
    return id.ok() && !id->empty() && id->find(' ') == std::string::npos ? *id : "-";
  }
  absl::Duration Uptime() const {
    const auto text = fs_.Read("proc/uptime");
    return text.ok() ? ParseUptime(*text).value_or(absl::InfiniteDuration())
                     : absl::InfiniteDuration();
  }

  const HostFs fs_;
  const MemoryOptions options_;
  KeptFile meminfo_;
  KeptFile vmstat_;
  KeptFile pressure_;
  PressureWindow window_{kPressureWindow};
  bool has_pressure_ = false;
  std::string boot_;
};

}  // namespace

std::unique_ptr<Check> MakeMemoryCheck(const CheckEnv& env) {
  return std::make_unique<MemoryCheck>(env);
}

}  // namespace fleet::agent
