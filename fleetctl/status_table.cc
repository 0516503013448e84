#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/units.h"
#include "fleetctl/probe_view.h"
#include "fleetctl/status_view.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

/// One thing that is not ok: a silent host, a check or a probe.
struct Problem {
  std::string name;  // "tempo", "tempo/disk" or "probe chitter.xyz"
  v1::Verdict verdict;
  v1::UnknownKind unknown;
  std::string reason;
  std::string caused_by;
  double age_seconds;
  std::vector<const v1::ItemStatus*> items;  // those that are not ok
};

std::string Age(double seconds) {
  return seconds < 0 ? "never" : HumanDuration(absl::Seconds(seconds));
}

std::vector<const v1::HostStatus*> WorstHostsFirst(const v1::StatusReply& reply) {
  std::vector<const v1::HostStatus*> hosts;
  for (const v1::HostStatus& host : reply.hosts()) hosts.push_back(&host);
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const v1::HostStatus* a, const v1::HostStatus* b) {
                     return Badness(a->verdict()) > Badness(b->verdict());
                   });
  return hosts;
}

std::vector<const v1::CheckStatus*> WorstChecksFirst(const v1::HostStatus& host) {
  std::vector<const v1::CheckStatus*> checks;
  for (const v1::CheckStatus& check : host.checks()) checks.push_back(&check);
  std::stable_sort(checks.begin(), checks.end(),
                   [](const v1::CheckStatus* a, const v1::CheckStatus* b) {
                     return Badness(a->verdict()) > Badness(b->verdict());
                   });
  return checks;
}

/// "11 ok, 1 warn, 1 crit".
std::string Counts(const std::map<int, int>& by_verdict) {
  std::vector<std::string> parts;
  for (const int verdict :
       {v1::VERDICT_OK, v1::VERDICT_WARN, v1::VERDICT_UNKNOWN, v1::VERDICT_CRIT}) {
    const auto found = by_verdict.find(verdict);
    if (found == by_verdict.end()) continue;
    parts.push_back(
        absl::StrCat(found->second, " ", VerdictText(static_cast<v1::Verdict>(verdict), {})));
  }
  return absl::StrJoin(parts, ", ");
}

std::string HostCounts(const v1::HostStatus& host) {
  if (!host.up()) return host.age_seconds() < 0 ? "never heard of" : "silent";
  std::map<int, int> counts;
  for (const v1::CheckStatus& check : host.checks()) ++counts[check.verdict()];
  std::string text = Counts(counts);
  if (host.spool_reports() > 0) {
    absl::StrAppend(&text, "; reports still in its spool: ", host.spool_reports());
  }
  return text;
}

std::vector<Problem> FindProblems(const v1::StatusReply& reply) {
  std::vector<Problem> problems;
  for (const v1::HostStatus& host : reply.hosts()) {
    if (!host.up()) {
      problems.push_back({host.name(),
                          v1::VERDICT_UNKNOWN,
                          v1::UNKNOWN_KIND_NONE,
                          host.age_seconds() < 0
                              ? "has not reported since the collector started"
                              : absl::StrCat("silent for ", Age(host.age_seconds())),
                          host.caused_by(),
                          host.age_seconds(),
                          {}});
      continue;
    }
    for (const v1::CheckStatus& check : host.checks()) {
      if (check.verdict() == v1::VERDICT_OK) continue;
      Problem problem{absl::StrCat(host.name(), "/", check.name()),
                      check.verdict(),
                      check.unknown(),
                      check.reason(),
                      check.caused_by(),
                      check.age_seconds(),
                      {}};
      for (const v1::ItemStatus& item : check.items()) {
        if (item.verdict() != v1::VERDICT_OK) problem.items.push_back(&item);
      }
      problems.push_back(std::move(problem));
    }
  }
  for (const v1::ProbeState& probe : reply.probes()) {
    if (probe.verdict() == v1::VERDICT_OK) continue;
    problems.push_back({absl::StrCat("probe ", probe.name()),
                        probe.verdict(),
                        probe.unknown(),
                        probe.reason(),
                        probe.caused_by(),
                        probe.last_look_age_seconds(),
                        {}});
  }
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    // Causes before what follows from them, then worst first.
    if (a.caused_by.empty() != b.caused_by.empty()) return a.caused_by.empty();
    return Badness(a.verdict) > Badness(b.verdict);
  });
  return problems;
}

/// Whether `cause` ("tempo/redis/6379") names `problem` ("tempo/redis") or a part of it.
bool IsCause(absl::string_view cause, absl::string_view problem) {
  return cause == problem || absl::StartsWith(cause, absl::StrCat(problem, "/"));
}

void AppendProblem(const Problem& problem, const std::vector<Problem>& all,
                   const ViewOptions& options, std::string& out) {
  const std::string verdict = VerdictText(problem.verdict, problem.unknown);
  absl::StrAppend(&out, "\n", Paint(verdict, problem.verdict, options.color), "  ", problem.name,
                  "\n");
  if (problem.items.size() > 1) {
    for (const v1::ItemStatus* item : problem.items) {
      const std::string kind =
          item->verdict() == problem.verdict
              ? ""
              : absl::StrCat(" (", VerdictText(item->verdict(), item->unknown()), ")");
      absl::StrAppend(&out, Wrap(absl::StrCat(item->name(), kind, ": ", item->reason()),
                                 options.width, "    "));
    }
  } else {
    absl::StrAppend(&out, Wrap(problem.reason, options.width, "    "));
  }
  std::vector<std::string> followers;
  for (const Problem& other : all) {
    if (!other.caused_by.empty() && IsCause(other.caused_by, problem.name)) {
      followers.push_back(
          absl::StrCat(other.name, " (", VerdictText(other.verdict, other.unknown), ")"));
    }
  }
  if (!followers.empty()) {
    absl::StrAppend(&out, Wrap(absl::StrCat("so also: ", absl::StrJoin(followers, ", ")),
                               options.width, "    "));
  }
}

void AppendProblems(const v1::StatusReply& reply, const ViewOptions& options, std::string& out) {
  const std::vector<Problem> problems = FindProblems(reply);
  for (const Problem& problem : problems) {
    // A follower is folded under its cause, unless that is not among what we show.
    const bool folded = !problem.caused_by.empty() &&
                        std::any_of(problems.begin(), problems.end(), [&](const Problem& other) {
                          return &other != &problem && IsCause(problem.caused_by, other.name);
                        });
    if (folded) continue;
    AppendProblem(problem, problems, options, out);
    if (!problem.caused_by.empty()) {
      absl::StrAppend(&out, "    follows from ", problem.caused_by, "\n");
    }
  }
}

void AppendAbsent(const v1::StatusReply& reply, const ViewOptions& options, std::string& out) {
  std::vector<std::string> parts;
  for (const v1::HostStatus& host : reply.hosts()) {
    if (host.absent().empty()) continue;
    parts.push_back(absl::StrCat(host.name(), ": ", absl::StrJoin(host.absent(), ", ")));
  }
  if (parts.empty()) return;
  absl::StrAppend(&out, "\n",
                  Wrap(absl::StrCat("not there: ", absl::StrJoin(parts, "; ")), options.width, ""));
}

void AppendNotes(const v1::StatusReply& reply, const ViewOptions& options, std::string& out) {
  for (const std::string& note : reply.notes()) {
    absl::StrAppend(&out, Wrap(absl::StrCat("limit: ", note), options.width, ""));
  }
  for (const v1::HostStatus& host : reply.hosts()) {
    for (const std::string& note : host.notes()) {
      absl::StrAppend(&out,
                      Wrap(absl::StrCat("limit: ", host.name(), ": ", note), options.width, ""));
    }
  }
}

std::string Headline(const v1::StatusReply& reply, const ViewOptions& options) {
  std::map<int, int> counts;
  int checks = 0;
  for (const v1::HostStatus& host : reply.hosts()) {
    for (const v1::CheckStatus& check : host.checks()) {
      ++counts[check.verdict()];
      ++checks;
    }
  }
  std::string probes;
  if (!reply.probes().empty()) {
    std::map<int, int> by_verdict;
    for (const v1::ProbeState& probe : reply.probes()) ++by_verdict[probe.verdict()];
    probes =
        absl::StrCat(", ", reply.probes_size(), reply.probes_size() == 1 ? " probe" : " probes",
                     " (", Counts(by_verdict), ")");
  }
  const std::string verdict = VerdictText(reply.verdict(), {});
  return absl::StrCat("fleet ", Paint(verdict, reply.verdict(), options.color), ": ",
                      reply.hosts_size(), reply.hosts_size() == 1 ? " host, " : " hosts, ", checks,
                      " checks", checks > 0 ? absl::StrCat(" (", Counts(counts), ")") : "", probes,
                      "\n\n");
}

std::string HostTable(const v1::StatusReply& reply, const ViewOptions& options) {
  Table table({"HOST", "VERDICT", "SEEN", "CHECKS"});
  for (const v1::HostStatus* host : WorstHostsFirst(reply)) {
    table.Add({host->name(), VerdictText(host->verdict(), {}), Age(host->age_seconds()),
               HostCounts(*host)},
              host->verdict(), 1);
  }
  return table.Render(options.table_width(), options.color);
}

std::string CheckTable(const v1::StatusReply& reply, const ViewOptions& options) {
  Table table({"CHECK", "VERDICT", "AGE", "REASON"});
  for (const v1::HostStatus* host : WorstHostsFirst(reply)) {
    for (const v1::CheckStatus* check : WorstChecksFirst(*host)) {
      table.Add({absl::StrCat(host->name(), "/", check->name()),
                 VerdictText(check->verdict(), check->unknown()), Age(check->age_seconds()),
                 check->reason()},
                check->verdict(), 1);
      if (!options.wide) continue;
      for (const v1::ItemStatus& item : check->items()) {
        table.Add({absl::StrCat("  ", item.name()), VerdictText(item.verdict(), item.unknown()), "",
                   item.reason()},
                  item.verdict(), 1);
      }
    }
  }
  return table.Render(options.wide ? 0 : options.table_width(), options.color);
}

}  // namespace

std::string RenderStatusTable(const v1::StatusReply& reply, const ViewOptions& options) {
  if (reply.hosts().empty() && reply.probes().empty()) {
    return "no host has reported yet; start fleet-agent on one and point it here\n";
  }
  std::string out = Headline(reply, options);
  if (!reply.hosts().empty()) {
    absl::StrAppend(&out, options.wide || options.detail ? CheckTable(reply, options)
                                                         : HostTable(reply, options));
  }
  if (options.wide && !reply.probes().empty()) {
    v1::ProbesReply probes;
    *probes.mutable_probes() = reply.probes();
    absl::StrAppend(&out, "\n", RenderProbes(probes, options));
  }
  AppendProblems(reply, options, out);
  AppendAbsent(reply, options, out);
  AppendNotes(reply, options, out);
  return out;
}

std::string RenderStatusTsv(const v1::StatusReply& reply) {
  std::string out = "host\tcheck\titem\tverdict\tageSeconds\tcausedBy\treason\n";
  const auto clean = [](std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
    return text;
  };
  const auto line = [&](const std::string& host, const std::string& check, const std::string& item,
                        v1::Verdict verdict, double age, const std::string& cause,
                        const std::string& reason) {
    absl::StrAppend(&out, host, "\t", check, "\t", clean(item), "\t", VerdictText(verdict, {}),
                    "\t", age < 0 ? "" : absl::StrCat(age), "\t", clean(cause), "\t", clean(reason),
                    "\n");
  };
  for (const v1::HostStatus& host : reply.hosts()) {
    line(host.name(), "", "", host.verdict(), host.age_seconds(), host.caused_by(),
         host.up() ? "" : "silent");
    for (const v1::CheckStatus& check : host.checks()) {
      line(host.name(), check.name(), "", check.verdict(), check.age_seconds(), check.caused_by(),
           check.reason());
      for (const v1::ItemStatus& item : check.items()) {
        line(host.name(), check.name(), item.name(), item.verdict(), -1, item.caused_by(),
             item.reason());
      }
    }
    for (const std::string& absent : host.absent()) {
      absl::StrAppend(&out, host.name(), "\t", absent, "\t\tabsent\t\t\t\n");
    }
  }
  return out;
}

int StatusExitCode(const v1::StatusReply& reply, absl::string_view fail_on) {
  const int limit = fail_on == "crit" ? 3 : fail_on == "warn" ? 1 : 0;
  return Badness(reply.verdict()) < limit ? 0 : static_cast<int>(reply.verdict());
}

}  // namespace fleet::ctl
