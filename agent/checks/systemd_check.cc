#include "agent/checks/systemd_check.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/restart_history.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"node_systemd_system_running", MetricType::kGauge,
     "Whether the system is operational (see 'systemctl is-system-running').", true},
    {"node_systemd_version", MetricType::kGauge, "Detected systemd version.", true},
    // node_exporter has five series for each unit there is. Here only units that failed or are
    // required have them: what dashboards and alerts look for, without a thousand series.
    {"node_systemd_unit_state", MetricType::kGauge,
     "Systemd unit, of those that failed or are required.", true},
    {"node_systemd_service_restart_total", MetricType::kCounter,
     "Service unit count of Restart triggers, of services with any.", true},
};
constexpr const MetricDesc& kRunning = kMetrics[0];
constexpr const MetricDesc& kVersion = kMetrics[1];
constexpr const MetricDesc& kUnitState = kMetrics[2];
constexpr const MetricDesc& kRestarts = kMetrics[3];

constexpr absl::string_view kStates[] = {"activating", "active", "deactivating", "failed",
                                         "inactive"};

/// "252.39-1~deb12u2" → 252.39, as node_exporter reads it.
double VersionNumber(absl::string_view version) {
  size_t size = 0;
  bool dot = false;
  while (size < version.size() && (absl::ascii_isdigit(static_cast<unsigned char>(version[size])) ||
                                   (version[size] == '.' && !std::exchange(dot, true)))) {
    ++size;
  }
  double number = 0;
  return absl::SimpleAtod(version.substr(0, size), &number) ? number : 0;
}

void Emit(CheckRun& run, const SystemdState& state) {
  run.Add(kRunning, state.system_state == "running" ? 1 : 0);
  run.Add(kVersion, {{"version", state.version}}, VersionNumber(state.version));
  std::set<absl::string_view> done;
  for (const std::vector<SystemdUnit>* units : {&state.failed, &state.required}) {
    for (const SystemdUnit& unit : *units) {
      if (!done.insert(unit.name).second) continue;
      for (const absl::string_view name : kStates) {
        run.Add(kUnitState, {{"name", unit.name}, {"state", name}, {"type", unit.type}},
                unit.active == name ? 1 : 0);
      }
    }
  }
  for (const SystemdRestarts& service : state.restarts) {
    run.Add(kRestarts, {{"name", service.name}}, service.count);
  }
}

/// systemd's word for how a service ended, as a sentence's end.
absl::string_view InWords(absl::string_view result) {
  if (result == "exit-code") return "it exited with an error";
  if (result == "signal") return "it was killed by a signal";
  if (result == "core-dump") return "it crashed";
  if (result == "watchdog") return "its watchdog was not fed";
  if (result == "oom-kill") return "it was killed for want of memory";
  if (result == "timeout") return "it took too long";
  if (result == "start-limit-hit") return "it was restarted too often";
  if (result == "resources") return "resources were missing";
  return result;
}

std::string Since(const SystemdUnit& unit, absl::Time now) {
  if (unit.changed == absl::InfinitePast() || unit.changed > now) return "";
  return absl::StrCat(" ", HumanDuration(now - unit.changed), " ago");
}

std::string FailedReason(const SystemdUnit& unit, absl::Time now) {
  std::string reason = absl::StrCat("failed", Since(unit, now));
  const bool worth = !unit.result.empty() && unit.result != "success";
  return worth ? absl::StrCat(reason, ": ", InWords(unit.result)) : reason;
}

class SystemdCheck final : public Check {
 public:
  SystemdCheck(const CheckEnv& env, std::unique_ptr<SystemdReader> reader)
      : fs_(env.fs), options_(env.options.systemd), reader_(std::move(reader)) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    if (!fs_.Exists("run/systemd/system")) {
      return absl::NotFoundError("systemd does not run this host");
    }
    absl::StatusOr<SystemdState> state = reader_->Read(options_.required, run.deadline());
    if (absl::IsPermissionDenied(state.status())) {
      return absl::PermissionDeniedError(
          absl::StrCat(state.status().message(), "; install the system bus: apt install dbus"));
    }
    FLEET_RETURN_IF_ERROR(state.status());
    Emit(run, *state);
    Judge(run, *state);
    return absl::OkStatus();
  }

 private:
  bool Ignored(const std::string& name) const {
    return std::any_of(options_.ignore.begin(), options_.ignore.end(),
                       [&name](const std::string& pattern) {
                         return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
                       });
  }

  void Judge(CheckRun& run, const SystemdState& state) const {
    std::set<std::string> judged;
    for (const SystemdUnit& unit : state.required) {
      if (judged.insert(unit.name).second) JudgeRequired(run, unit);
    }
    for (const SystemdUnit& unit : state.failed) {
      if (Ignored(unit.name) || !judged.insert(unit.name).second) continue;
      run.AddItem(unit.name, Verdict::kWarn, FailedReason(unit, run.now()));
    }
    for (const CrashLoop& loop : NoteRestarts(run.memory(), state.restarts, run.now())) {
      if (!Ignored(loop.name)) JudgeLoop(run, loop);
    }
    const bool troubled = std::any_of(run.report().items.begin(), run.report().items.end(),
                                      [](const Item& i) { return i.verdict != Verdict::kOk; });
    if (state.system_state == "maintenance") {
      run.Raise(Verdict::kCrit, "in rescue or emergency mode");
    } else if (!troubled) {
      run.SetReason(
          absl::StrCat(state.system_state, ", ", state.services_active, " services active"));
    }
  }

  /// A required unit has its item already; a loop makes it worse only where it looked fine.
  static void JudgeLoop(CheckRun& run, const CrashLoop& loop) {
    const std::string reason =
        absl::StrCat("keeps dying: restarted ", loop.restarts, " times, last noticed ",
                     HumanDuration(run.now() - loop.noticed), " ago");
    std::vector<Item>& items = run.report().items;
    const auto item = std::find_if(items.begin(), items.end(),
                                   [&loop](const Item& i) { return i.name == loop.name; });
    if (item == items.end()) {
      run.AddItem(loop.name, Verdict::kWarn, reason);
    } else if (item->verdict == Verdict::kOk || item->verdict == Verdict::kWarn) {
      item->verdict = Verdict::kWarn;
      item->reason = reason;
    }
  }

  static void JudgeRequired(CheckRun& run, const SystemdUnit& unit) {
    if (unit.load != "loaded") {
      run.AddItem(unit.name, Verdict::kCrit,
                  absl::StrCat("required, but ",
                               unit.load == "not-found" ? "there is no such unit" : unit.load));
    } else if (unit.active == "failed") {
      run.AddItem(unit.name, Verdict::kCrit,
                  absl::StrCat("required, but ", FailedReason(unit, run.now())));
    } else if (unit.active == "active" || unit.active == "reloading") {
      run.AddItem(unit.name, Verdict::kOk, unit.sub);
    } else if (unit.active == "activating") {
      // On its way up, or dying again and again: the counter of restarts tells.
      const bool dying = absl::StartsWith(unit.sub, "auto-restart");
      run.AddItem(unit.name, Verdict::kWarn,
                  dying ? "required, but it died and waits for its restart"
                        : absl::StrCat("required, still starting (", unit.sub, ")"));
    } else {
      run.AddItem(unit.name, Verdict::kCrit,
                  absl::StrCat("required, but ", unit.active, Since(unit, run.now())));
    }
  }

  const HostFs fs_;
  const SystemdOptions options_;
  const std::unique_ptr<SystemdReader> reader_;
};

}  // namespace

std::unique_ptr<Check> MakeSystemdCheckFrom(const CheckEnv& env,
                                            std::unique_ptr<SystemdReader> reader) {
  return std::make_unique<SystemdCheck>(env, std::move(reader));
}

std::unique_ptr<Check> MakeSystemdCheck(const CheckEnv& env) {
  return MakeSystemdCheckFrom(env, MakeSystemdBus(env.fs, Clock::Real()));
}

}  // namespace fleet::agent
