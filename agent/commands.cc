#include "agent/commands.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "agent/checks/redis_metrics.h"
#include "common/labels.h"

namespace fleet::agent {
namespace {

int Rank(const Report& report) {
  if (report.absent) return 4;
  switch (report.verdict) {
    case Verdict::kCrit:
      return 0;
    case Verdict::kUnknown:
      return 1;
    case Verdict::kWarn:
      return 2;
    case Verdict::kOk:
      return 3;
  }
  return 1;
}

std::string VerdictWord(Verdict verdict, UnknownKind unknown) {
  return unknown == UnknownKind::kNone || verdict != Verdict::kUnknown
             ? std::string(VerdictName(verdict))
             : absl::StrCat("unknown: ", UnknownKindName(unknown));
}

nlohmann::ordered_json SampleJson(const SampleSet& samples, size_t i) {
  nlohmann::ordered_json labels = nlohmann::ordered_json::object();
  if (const auto parsed = ParseLabels(samples.labels(i)); parsed.ok()) {
    for (const auto& [name, value] : *parsed) labels[name] = value;
  }
  return {{"name", std::string(samples.name(i))},
          {"labels", std::move(labels)},
          {"value", samples.values()[i]}};
}

nlohmann::ordered_json CheckJson(const Report& report) {
  nlohmann::ordered_json check = {
      {"name", report.check},
      {"verdict", report.absent ? "absent" : std::string(VerdictName(report.verdict))},
      {"reason", report.reason},
      {"durationMs", absl::ToDoubleMilliseconds(report.duration)},
  };
  if (report.unknown != UnknownKind::kNone) {
    check["unknown"] = std::string(UnknownKindName(report.unknown));
  }
  check["items"] = nlohmann::ordered_json::array();
  for (const Item& item : report.items) {
    nlohmann::ordered_json entry = {{"name", item.name},
                                    {"verdict", std::string(VerdictName(item.verdict))},
                                    {"reason", item.reason}};
    if (item.unknown != UnknownKind::kNone) {
      entry["unknown"] = std::string(UnknownKindName(item.unknown));
    }
    check["items"].push_back(std::move(entry));
  }
  check["samples"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < report.samples.size(); ++i) {
    check["samples"].push_back(SampleJson(report.samples, i));
  }
  return check;
}

/// On one line, and valid whatever bytes the texts have.
std::string Text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::vector<ScheduledCheck> MakeChecks(const AgentSettings& settings, const CheckEnv& env,
                                       const std::vector<std::string>& only, MemoryStore& store) {
  std::vector<ScheduledCheck> checks;
  for (const CheckSpec& spec : AllChecks()) {
    const std::string name(spec.name);
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
    CheckSchedule schedule;
    if (const auto found = settings.schedules.find(name); found != settings.schedules.end()) {
      schedule = found->second;
    }
    if (!schedule.enabled) continue;
    store.Load(name);
    ScheduledCheck check;
    check.name = name;
    check.interval = schedule.interval > absl::ZeroDuration()
                         ? schedule.interval
                         : settings.interval * spec.interval_multiple;
    check.deadline = schedule.deadline > absl::ZeroDuration() ? schedule.deadline : spec.deadline;
    check.configured = schedule.configured;
    check.parent = schedule.parent;
    check.check = spec.make(env);
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<Report> RunOnce(std::vector<ScheduledCheck> checks, MemoryStore& store, Clock& clock,
                            bool& all_back) {
  Mutex mutex;
  std::condition_variable_any arrived;
  std::map<std::string, Report> reports;
  const size_t wanted = checks.size();
  absl::Duration longest;
  for (ScheduledCheck& check : checks) {
    longest = std::max(longest, check.deadline);
    // Once is enough: the next tick must not come before the last report.
    check.interval = absl::Hours(24);
  }
  const auto deliver = [&](Report report) {
    MutexLock lock(mutex);
    std::string name = report.check;
    reports.emplace(std::move(name), std::move(report));
    arrived.notify_all();
  };
  // Outlives this function when a run is stuck: its thread still refers to it.
  auto scheduler = std::make_unique<Scheduler>(
      std::move(checks), store, clock,
      Scheduler::Hooks{deliver, [](const std::string&, const std::vector<Watch>&) {}});
  scheduler->Start();
  std::vector<Report> sorted;
  {
    MutexLock lock(mutex);
    const SteadyTime until =
        SteadyAfter(clock.SteadyNow(), longest + Scheduler::kGrace + absl::Seconds(1));
    clock.WaitUntil(mutex, arrived, std::stop_token(), until,
                    [&]() { return reports.size() == wanted; });
    for (auto& [name, report] : reports) sorted.push_back(std::move(report));
  }
  all_back = scheduler->Stop(absl::Milliseconds(100));
  if (!all_back) static_cast<void>(scheduler.release());
  return sorted;
}

std::string RenderTable(const std::vector<Report>& reports) {
  std::vector<const Report*> order;
  for (const Report& report : reports) order.push_back(&report);
  std::stable_sort(order.begin(), order.end(),
                   [](const Report* a, const Report* b) { return Rank(*a) < Rank(*b); });
  std::string text;
  std::vector<std::string> absent;
  for (const Report* report : order) {
    if (report->absent) {
      absent.push_back(report->check);
      continue;
    }
    absl::StrAppendFormat(&text, "%-14s  %-10s %s\n", VerdictWord(report->verdict, report->unknown),
                          report->check, report->reason);
    for (const Item& item : report->items) {
      if (item.verdict == Verdict::kOk && item.reason.empty()) continue;
      absl::StrAppendFormat(&text, "  %-14s  %s%s%s\n", VerdictWord(item.verdict, item.unknown),
                            item.name, item.reason.empty() ? "" : ": ", item.reason);
    }
  }
  if (!absent.empty()) {
    std::sort(absent.begin(), absent.end());
    absl::StrAppend(&text, "not on this host: ", absl::StrJoin(absent, ", "), "\n");
  }
  return text;
}

std::string RenderJson(const std::string& host, const std::vector<Report>& reports) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const Report& report : reports) checks.push_back(CheckJson(report));
  return Text({{"host", host}, {"checks", std::move(checks)}});
}

std::string RenderReportLine(const std::string& host, const SegmentId& segment, uint64_t index,
                             const Report& report) {
  nlohmann::ordered_json line = {
      {"host", host},
      {"start", absl::FormatTime(absl::RFC3339_full, report.start, absl::UTCTimeZone())},
      {"segment", absl::StrFormat("%016x-%d", segment.epoch, segment.number)},
      {"index", index}};
  line.update(CheckJson(report));
  return Text(line);
}

int ExitCode(const std::vector<Report>& reports) {
  Verdict worst = Verdict::kOk;
  for (const Report& report : reports) {
    if (!report.absent) worst = Worse(worst, report.verdict);
  }
  return static_cast<int>(worst);
}

std::string RenderMetricsDoc(const CheckEnv& env) {
  std::string text =
      "# Metrics\n\n"
      "Generated from the descriptors in the code by `./dev docs`; a test holds it to them.\n"
      "A name that ends in `*` stands for a family per field of its source.\n";
  for (const CheckSpec& spec : AllChecks()) {
    const std::unique_ptr<Check> check = spec.make(env);
    absl::StrAppend(&text, "\n## ", spec.name, "\n\n| metric | type | help |\n|---|---|---|\n");
    std::vector<const MetricDesc*> sorted;
    for (const MetricDesc& desc : check->metrics()) sorted.push_back(&desc);
    std::sort(sorted.begin(), sorted.end(),
              [](const MetricDesc* a, const MetricDesc* b) { return a->name < b->name; });
    for (const MetricDesc* desc : sorted) {
      absl::StrAppend(&text, "| `", desc->name, "` | ", MetricTypeName(desc->type), " | ",
                      desc->help, " |\n");
    }
  }
  absl::StrAppend(
      &text,
      "\n## Left out\n\nFamilies of the exporters whose names these are, which fleet does "
      "not have.\n\n| metric | why |\n|---|---|\n");
  for (const LeftOutFamily& family : RedisLeftOut()) {
    absl::StrAppend(&text, "| `", family.name, "` | ", family.reason, " |\n");
  }
  return text;
}

}  // namespace fleet::agent
