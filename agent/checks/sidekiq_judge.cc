#include "agent/checks/sidekiq_judge.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kBeatLate = absl::Seconds(30);  // three heartbeats
constexpr absl::Duration kStandstill = absl::Minutes(10);

struct QueueDefault {
  absl::string_view name;
  absl::Duration warn;
  absl::Duration crit;
};

/// Queues of Mastodon whose jobs may wait longer than those of `default`.
constexpr QueueDefault kQueueDefaults[] = {
    {"fasp", absl::Minutes(5), absl::Minutes(30)},
    {"ingress", absl::Minutes(5), absl::Minutes(30)},
    {"mailers", absl::Minutes(5), absl::Minutes(15)},
    {"pull", absl::Minutes(5), absl::Minutes(30)},
    {"push", absl::Minutes(5), absl::Minutes(30)},
    {"scheduler", absl::Minutes(5), absl::Minutes(15)},
};

constexpr absl::string_view kOtherItems[] = {"processes", "retry",   "schedule",
                                             "dead",      "latency", "queues"};

Item MakeItem(absl::string_view name, Verdict verdict, std::string reason) {
  Item item;
  item.name = std::string(name);
  item.verdict = verdict;
  item.reason = std::move(reason);
  return item;
}

std::string Count(double count, absl::string_view noun, absl::string_view plural) {
  return absl::StrFormat("%.0f %s", count, count == 1 ? noun : plural);
}

std::string Jobs(double count) { return Count(count, "job", "jobs"); }

Item JudgeQueue(const SidekiqSnapshot& snapshot, const SidekiqQueueState& queue,
                const SidekiqOptions& options, bool required) {
  const bool taken = std::find(std::begin(kOtherItems), std::end(kOtherItems), queue.name) !=
                     std::end(kOtherItems);
  Item item = MakeItem(taken ? absl::StrCat("queue:", queue.name) : queue.name, Verdict::kOk, "");
  const auto say = [&item](Verdict verdict, std::string reason) {
    item.verdict = verdict;
    item.reason = std::move(reason);
    return item;
  };
  size_t quiet = 0;
  const size_t servers = SidekiqServers(snapshot, queue.name, quiet);
  const std::string waits =
      queue.latency ? absl::StrCat(", oldest waits ", HumanDuration(*queue.latency)) : "";
  if (servers == 0 && quiet == 0) {
    if (queue.jobs > 0) {
      return say(Verdict::kCrit,
                 absl::StrCat(Jobs(queue.jobs), ", no live process serves it", waits));
    }
    if (required) return say(Verdict::kCrit, "required, but no live process serves it");
    return say(Verdict::kOk, "empty, no live process serves it");
  }
  if (queue.jobs == 0) return say(Verdict::kOk, "empty");
  if (queue.paused) return say(Verdict::kWarn, absl::StrCat(Jobs(queue.jobs), ", paused", waits));
  if (servers == 0) {
    return say(Verdict::kWarn,
               absl::StrCat(Jobs(queue.jobs), ", every process that serves it is quiet", waits));
  }
  const SidekiqQueue limits = SidekiqLimits(queue.name, options);
  const absl::Duration latency = queue.latency.value_or(absl::ZeroDuration());
  if (latency < limits.latency_warn)
    return say(Verdict::kOk, absl::StrCat(Jobs(queue.jobs), waits));
  const bool crit = latency >= limits.latency_crit;
  return say(crit ? Verdict::kCrit : Verdict::kWarn,
             absl::StrCat(Jobs(queue.jobs), waits, " (limit ",
                          HumanDuration(crit ? limits.latency_crit : limits.latency_warn), ")"));
}

/// Whether jobs wait and nothing has been processed for long.
std::optional<absl::Duration> Standstill(const SidekiqSnapshot& snapshot, double waiting,
                                         SteadyTime now, SidekiqHistory& history) {
  if (history.processed != snapshot.processed || waiting == 0) {
    history.processed = snapshot.processed;
    history.processed_changed = now;
  }
  const absl::Duration still = now - history.processed_changed;
  if (still < kStandstill) return std::nullopt;
  return still;
}

Item JudgeProcesses(const SidekiqSnapshot& snapshot, SteadyTime now, SidekiqHistory& history) {
  double threads = 0, busy = 0, waiting = 0;
  size_t quiet = 0;
  const SidekiqProcess* late = nullptr;
  for (const SidekiqProcess& process : snapshot.processes) {
    threads += process.info.concurrency;
    busy += process.busy;
    if (process.quiet) ++quiet;
    if (process.beat_age > kBeatLate) late = &process;
  }
  for (const SidekiqQueueState& queue : snapshot.queues) {
    size_t queue_quiet = 0;
    if (SidekiqServers(snapshot, queue.name, queue_quiet) > 0) waiting += queue.jobs;
  }
  const auto still = Standstill(snapshot, waiting, now, history);
  const double live = static_cast<double>(snapshot.processes.size());
  const double gone = snapshot.processes_listed - live;
  const std::string dead =
      gone > 0 ? absl::StrCat(", ", Count(gone, "process", "processes"), " died without a word")
               : "";
  if (live == 0) return MakeItem("processes", Verdict::kCrit, "no live process" + dead);
  const std::string all =
      absl::StrCat(Count(live, "process", "processes"),
                   absl::StrFormat(", %.0f of %.0f threads busy", busy, threads), dead);
  if (late != nullptr) {
    return MakeItem("processes", Verdict::kWarn,
                    absl::StrCat(late->identity, " without heartbeat for ",
                                 HumanDuration(late->beat_age), "; ", all));
  }
  if (quiet == snapshot.processes.size()) {
    return MakeItem("processes", Verdict::kWarn, "every process is quiet; " + all);
  }
  if (still) {
    return MakeItem("processes", Verdict::kWarn,
                    absl::StrCat("nothing processed for ", HumanDuration(*still), " while ",
                                 Jobs(waiting), " wait; ", all));
  }
  return MakeItem("processes", Verdict::kOk, all);
}

Item JudgeSet(absl::string_view name, double jobs, double overdue, double jobs_warn) {
  if (overdue > 0) {
    return MakeItem(name, Verdict::kWarn,
                    absl::StrCat(Jobs(overdue), " of ", absl::StrFormat("%.0f", jobs),
                                 " overdue by a minute: no process polls"));
  }
  if (jobs_warn > 0 && jobs >= jobs_warn) {
    return MakeItem(name, Verdict::kWarn,
                    absl::StrCat(Jobs(jobs), " (limit ", absl::StrFormat("%.0f", jobs_warn), ")"));
  }
  return MakeItem(name, Verdict::kOk, Jobs(jobs));
}

}  // namespace

SidekiqQueue SidekiqLimits(absl::string_view queue, const SidekiqOptions& options) {
  for (const SidekiqQueue& configured : options.queues) {
    if (configured.name == queue) return configured;
  }
  SidekiqQueue limits;
  limits.name = std::string(queue);
  limits.latency_warn = options.latency_warn;
  limits.latency_crit = options.latency_crit;
  for (const QueueDefault& known : kQueueDefaults) {
    if (known.name != queue) continue;
    limits.latency_warn = std::max(known.warn, options.latency_warn);
    limits.latency_crit = std::max(known.crit, options.latency_crit);
  }
  return limits;
}

size_t SidekiqServers(const SidekiqSnapshot& snapshot, absl::string_view queue, size_t& quiet) {
  size_t servers = 0;
  for (const SidekiqProcess& process : snapshot.processes) {
    const std::vector<std::string>& queues = process.info.queues;
    if (std::find(queues.begin(), queues.end(), queue) == queues.end()) continue;
    ++(process.quiet ? quiet : servers);
  }
  return servers;
}

std::vector<Item> JudgeSidekiq(const SidekiqSnapshot& snapshot, const SidekiqOptions& options,
                               SteadyTime now, SidekiqHistory& history) {
  std::vector<Item> items;
  for (const SidekiqQueueState& queue : snapshot.queues) {
    const bool required = std::find(options.required.begin(), options.required.end(), queue.name) !=
                          options.required.end();
    items.push_back(JudgeQueue(snapshot, queue, options, required));
  }
  for (const std::string& name : options.required) {
    const auto known = [&name](const SidekiqQueueState& queue) { return queue.name == name; };
    if (std::any_of(snapshot.queues.begin(), snapshot.queues.end(), known)) continue;
    SidekiqQueueState never_used;
    never_used.name = name;
    items.push_back(JudgeQueue(snapshot, never_used, options, true));
  }
  if (snapshot.queues_left_out > 0) {
    items.push_back(MakeItem("queues", Verdict::kWarn,
                             absl::StrCat(snapshot.queues_left_out, " queues past the limit of ",
                                          kSidekiqQueuesMax, " are not looked at")));
  }
  items.push_back(JudgeProcesses(snapshot, now, history));
  if (snapshot.processes.empty() && !options.host.empty()) {
    for (Item& item : items) {
      if (item.verdict == Verdict::kCrit) item.parent = options.host;
    }
  }
  items.push_back(
      JudgeSet("retry", snapshot.retry, snapshot.retry_overdue, options.retry_warn_jobs));
  items.push_back(JudgeSet("schedule", snapshot.scheduled, snapshot.scheduled_overdue, 0));
  const std::string deaths = snapshot.died_last_hour > 0
                                 ? absl::StrFormat("%s, %.0f of them died within the hour",
                                                   Jobs(snapshot.dead), snapshot.died_last_hour)
                                 : Jobs(snapshot.dead);
  const bool dying =
      options.dead_warn_per_hour > 0 && snapshot.died_last_hour >= options.dead_warn_per_hour;
  items.push_back(MakeItem("dead", dying ? Verdict::kWarn : Verdict::kOk, deaths));
  if (!snapshot.latency_status.ok()) {
    Item item =
        MakeItem("latency", Verdict::kUnknown, std::string(snapshot.latency_status.message()));
    item.unknown = absl::IsPermissionDenied(snapshot.latency_status) ? UnknownKind::kBlind
                                                                     : UnknownKind::kError;
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace fleet::agent
