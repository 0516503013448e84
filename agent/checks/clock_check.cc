#include "agent/checks/clock_check.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "agent/kept_file.h"
#include "agent/parse/text.h"
#include "agent/parse/uptime.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_time_seconds", MetricType::kGauge, "System time in seconds since epoch (1970).", true},
    {"node_time_zone_offset_seconds", MetricType::kGauge, "System time zone offset in seconds.",
     true},
    {"node_time_clocksource_available_info", MetricType::kGauge,
     "Available clocksources read from '/sys/devices/system/clocksource'.", true},
    {"node_time_clocksource_current_info", MetricType::kGauge,
     "Current clocksource read from '/sys/devices/system/clocksource'.", true},
    {"node_timex_sync_status", MetricType::kGauge,
     "Is clock synchronized to a reliable server (1 = yes, 0 = no).", true},
    {"node_timex_offset_seconds", MetricType::kGauge,
     "Time offset in between local system and reference clock.", true},
    {"node_timex_frequency_adjustment_ratio", MetricType::kGauge,
     "Local clock frequency adjustment.", true},
    {"node_timex_maxerror_seconds", MetricType::kGauge, "Maximum error in seconds.", true},
    {"node_timex_estimated_error_seconds", MetricType::kGauge, "Estimated error in seconds.", true},
    {"node_timex_status", MetricType::kGauge, "Value of the status array bits.", true},
    {"node_timex_loop_time_constant", MetricType::kGauge, "Phase-locked loop time constant.", true},
    {"node_timex_tick_seconds", MetricType::kGauge, "Seconds between clock ticks.", true},
    {"node_timex_pps_frequency_hertz", MetricType::kGauge, "Pulse per second frequency.", true},
    {"node_timex_pps_jitter_seconds", MetricType::kGauge, "Pulse per second jitter.", true},
    {"node_timex_pps_shift_seconds", MetricType::kGauge, "Pulse per second interval duration.",
     true},
    {"node_timex_pps_stability_hertz", MetricType::kGauge,
     "Pulse per second stability, average of recent frequency changes.", true},
    {"node_timex_pps_jitter_total", MetricType::kCounter,
     "Pulse per second count of jitter limit exceeded events.", true},
    {"node_timex_pps_calibration_total", MetricType::kCounter,
     "Pulse per second count of calibration intervals.", true},
    {"node_timex_pps_error_total", MetricType::kCounter,
     "Pulse per second count of calibration errors.", true},
    {"node_timex_pps_stability_exceeded_total", MetricType::kCounter,
     "Pulse per second count of stability limit exceeded events.", true},
    {"node_timex_tai_offset_seconds", MetricType::kGauge, "International Atomic Time (TAI) offset.",
     true},
};
constexpr const MetricDesc& kTime = kMetrics[0];
constexpr const MetricDesc& kZone = kMetrics[1];
constexpr const MetricDesc& kSourceAvailable = kMetrics[2];
constexpr const MetricDesc& kSourceCurrent = kMetrics[3];
constexpr size_t kTimexFirst = 4;

constexpr absl::string_view kClockSources = "sys/devices/system/clocksource";
/// A time daemon needs a few minutes after boot before it believes its servers.
constexpr absl::Duration kSyncGrace = absl::Minutes(10);
constexpr double kMicro = 1e6;
/// Frequencies are in parts per million with a 16-bit fraction.
constexpr double kPpmFraction = 1e6 * 65536;

/// Seconds per unit of `offset` and `jitter`.
double Divisor(const struct timex& timex) { return (timex.status & STA_NANO) != 0 ? 1e9 : kMicro; }

void EmitTimex(CheckRun& run, const KernelClock& clock) {
  const struct timex& t = clock.timex;
  const auto number = [](auto value) { return static_cast<double>(value); };
  const double values[] = {
      clock.state == TIME_ERROR ? 0.0 : 1.0,
      number(t.offset) / Divisor(t),
      1 + number(t.freq) / kPpmFraction,
      number(t.maxerror) / kMicro,
      number(t.esterror) / kMicro,
      number(t.status),
      number(t.constant),
      number(t.tick) / kMicro,
      number(t.ppsfreq) / kPpmFraction,
      number(t.jitter) / Divisor(t),
      number(t.shift),
      number(t.stabil) / kPpmFraction,
      number(t.jitcnt),
      number(t.calcnt),
      number(t.errcnt),
      number(t.stbcnt),
      number(t.tai),
  };
  static_assert(std::size(values) + kTimexFirst == std::size(kMetrics));
  for (size_t i = 0; i < std::size(values); ++i) run.Add(kMetrics[kTimexFirst + i], values[i]);
}

class ClockCheck final : public Check {
 public:
  ClockCheck(const CheckEnv& env, ReadKernelClock read)
      : fs_(env.fs), options_(env.options.clock), read_(std::move(read)) {
    if (fs_.live()) {
      zone_ = absl::LocalTimeZone();
      has_zone_ = true;
    } else {
      has_zone_ = absl::LoadTimeZone(fs_.Path("etc/localtime"), &zone_);
    }
  }

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    run.Add(kTime, static_cast<double>(absl::ToUnixNanos(run.now())) / 1e9);
    if (has_zone_) {
      const absl::TimeZone::CivilInfo local = zone_.At(run.now());
      run.Add(kZone, {{"time_zone", local.zone_abbr}}, local.offset);
    }
    CollectSources(run);
    if (read_ == nullptr) return absl::OkStatus();
    const absl::StatusOr<KernelClock> clock = read_();
    if (absl::IsPermissionDenied(clock.status())) {
      // Containers may not ask, and could change nothing about it.
      if (InContainer()) return absl::OkStatus();
      return absl::PermissionDeniedError(
          "adjtimex is forbidden here: in fleet-agent.service set ProtectClock=no");
    }
    FLEET_RETURN_IF_ERROR(clock.status());
    EmitTimex(run, *clock);
    Judge(run, *clock);
    return absl::OkStatus();
  }

 private:
  struct Source {
    std::string device;
    KeptFile available;
    KeptFile current;
  };

  /// The kernel makes its clock sources at boot, so on the running machine they are listed once.
  void FindSources() {
    if (fs_.live() && !sources_.empty()) return;
    sources_.clear();
    const auto devices = fs_.List(kClockSources);
    if (!devices.ok()) return;
    for (const std::string& name : *devices) {
      absl::string_view device = name;
      if (!absl::ConsumePrefix(&device, "clocksource")) continue;
      const std::string path = absl::StrCat(kClockSources, "/", name);
      sources_.push_back({std::string(device),
                          KeptFile(fs_, path + "/available_clocksource", KeptFile::Records::kOne),
                          KeptFile(fs_, path + "/current_clocksource", KeptFile::Records::kOne)});
    }
  }

  void CollectSources(CheckRun& run) {
    FindSources();
    for (Source& source : sources_) {
      const std::string& device = source.device;
      absl::string_view line;
      absl::string_view rest = source.available.Read().value_or("");
      NextLine(rest, line);
      for (absl::string_view word = NextWord(line); !word.empty(); word = NextWord(line)) {
        run.Add(kSourceAvailable, {{"clocksource", word}, {"device", device}}, 1);
      }
      const auto current = source.current.ReadTrimmed();
      if (!current.ok() || current->empty()) continue;
      run.Add(kSourceCurrent, {{"clocksource", *current}, {"device", device}}, 1);
    }
  }

  /// A clock that nothing disciplines drifts by seconds a day and nobody sees it, in a VM too:
  /// warn, but not while a time daemon may still be starting, and not in a container, whose clock
  /// is its host's affair. The offset means something only while a daemon keeps it.
  void Judge(CheckRun& run, const KernelClock& clock) {
    if ((clock.timex.status & STA_UNSYNC) != 0) {
      run.SetReason("clock not synchronised");
      if (InContainer() || JustBooted()) return;
      run.Raise(Verdict::kWarn,
                "clock not synchronised: no time daemon keeps it (systemd-timesyncd, chrony)");
      return;
    }
    const double offset = static_cast<double>(clock.timex.offset) / Divisor(clock.timex);
    const std::string off = HumanDuration(absl::Seconds(std::abs(offset)));
    run.SetReason(absl::StrCat("synchronised, ", off, " off"));
    if (std::abs(offset) < options_.offset_warn_seconds) return;
    run.Raise(
        std::abs(offset) >= options_.offset_crit_seconds ? Verdict::kCrit : Verdict::kWarn,
        absl::StrCat("clock is ", off, offset > 0 ? " behind" : " ahead of", " its time server"));
  }

  bool JustBooted() {
    if (up_for_long_) return false;
    const auto text = fs_.Read("proc/uptime");
    if (!text.ok()) return false;
    const auto uptime = ParseUptime(*text);
    if (!uptime.ok()) return false;
    up_for_long_ = fs_.live() && *uptime >= kSyncGrace;
    return *uptime < kSyncGrace;
  }

  /// Whoever starts a container says so before the first process runs in it.
  bool InContainer() {
    if (!fs_.live() || !in_container_) {
      in_container_ = fs_.Exists("run/systemd/container") || fs_.Exists("run/.containerenv") ||
                      fs_.Exists(".dockerenv");
    }
    return *in_container_;
  }

  const HostFs fs_;
  const ClockOptions options_;
  const ReadKernelClock read_;
  absl::TimeZone zone_;
  bool has_zone_ = false;
  std::vector<Source> sources_;
  bool up_for_long_ = false;  // which stays so
  std::optional<bool> in_container_;
};

}  // namespace

absl::StatusOr<KernelClock> ReadThisKernelsClock() {
  KernelClock clock;
  clock.state = ::adjtimex(&clock.timex);
  if (clock.state < 0) return absl::ErrnoToStatus(errno, "adjtimex");
  return clock;
}

std::unique_ptr<Check> MakeClockCheckFrom(const CheckEnv& env, ReadKernelClock read) {
  return std::make_unique<ClockCheck>(env, std::move(read));
}

std::unique_ptr<Check> MakeClockCheck(const CheckEnv& env) {
  return MakeClockCheckFrom(env, env.fs.live() ? ReadThisKernelsClock : ReadKernelClock());
}

}  // namespace fleet::agent
