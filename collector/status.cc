#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/cause.h"
#include "collector/state.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::collector {
namespace {

constexpr size_t kReasonBytesMax = 4096;

v1::Verdict ToProto(Verdict verdict) { return static_cast<v1::Verdict>(verdict); }
v1::UnknownKind ToProto(UnknownKind kind) { return static_cast<v1::UnknownKind>(kind); }

/// Text of an agent as a proto may carry it.
std::string Clean(absl::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  return plain ? std::string(text) : OneLine(text, kReasonBytesMax);
}

Verdict CheckVerdict(const CheckView& check) {
  return check.stale ? Verdict::kUnknown : check.status->verdict;
}

std::string Path(const HostView& host, absl::string_view check) {
  return absl::StrCat(host.facts->name, "/", check);
}
std::string Path(const HostView& host, absl::string_view check, absl::string_view item) {
  return absl::StrCat(host.facts->name, "/", check, "/", item);
}

void AddParent(const HostView& host, absl::string_view parent, std::vector<std::string>& list) {
  if (!parent.empty()) list.push_back(ResolveParent(host.facts->name, parent));
}

/// What the host's checks depend on, agents' own words first.
void AddChecks(const HostView& host, const HostParents* configured, CauseGraph& graph) {
  for (const CheckView& check : host.checks) {
    const Verdict verdict = CheckVerdict(check);
    if (check.status->absent || verdict == Verdict::kOk) continue;
    std::vector<std::string> parents;
    if (!host.up) parents.push_back(host.facts->name);
    AddParent(host, check.status->parent, parents);
    if (configured != nullptr) {
      const auto by_check = configured->by_check.find(check.name);
      if (by_check != configured->by_check.end()) AddParent(host, by_check->second, parents);
    }
    if (!check.stale) {
      for (const Item& item : check.status->items) {
        if (item.verdict == Verdict::kOk) continue;
        std::vector<std::string> item_parents;
        AddParent(host, item.parent, item_parents);
        item_parents.insert(item_parents.end(), parents.begin(), parents.end());
        graph.Add(Path(host, check.name, item.name), item.verdict, std::move(item_parents));
      }
    }
    graph.Add(Path(host, check.name), verdict, std::move(parents));
  }
}

CauseGraph MakeGraph(const FleetView& view, const StateOptions& options) {
  CauseGraph graph;
  for (const HostView& host : view.hosts) {
    const auto found = options.parents.find(host.facts->name);
    const HostParents* configured = found == options.parents.end() ? nullptr : &found->second;
    AddChecks(host, configured, graph);
    if (host.up) continue;
    std::vector<std::string> parents;
    if (configured != nullptr) AddParent(host, configured->parent, parents);
    graph.Add(host.facts->name, Verdict::kCrit, std::move(parents));
  }
  return graph;
}

/// The check's own cause; else that of its items, when each as bad as the check has one.
std::string CheckCause(const CauseGraph& graph, const HostView& host, const CheckView& check) {
  std::string cause = graph.RootCause(Path(host, check.name));
  if (!cause.empty() || check.stale || check.status->verdict == Verdict::kOk) return cause;
  for (const Item& item : check.status->items) {
    if (item.verdict != check.status->verdict) continue;
    std::string of_item = graph.RootCause(Path(host, check.name, item.name));
    if (of_item.empty()) return "";
    if (cause.empty()) cause = std::move(of_item);
  }
  return cause;
}

void FillItems(const CauseGraph& graph, const HostView& host, const CheckView& check,
               v1::CheckStatus& out) {
  for (const Item& item : check.status->items) {
    v1::ItemStatus& status = *out.add_items();
    status.set_name(Clean(item.name));
    status.set_verdict(ToProto(item.verdict));
    status.set_unknown(ToProto(item.unknown));
    status.set_reason(Clean(item.reason));
    if (item.verdict != Verdict::kOk) {
      status.set_caused_by(Clean(graph.RootCause(Path(host, check.name, item.name))));
    }
  }
}

void FillCheck(const CauseGraph& graph, const HostView& host, const CheckView& check,
               v1::CheckStatus& out) {
  const ReportStatus& status = *check.status;
  out.set_name(Clean(check.name));
  out.set_verdict(ToProto(CheckVerdict(check)));
  out.set_age_seconds(absl::ToDoubleSeconds(check.age));
  out.set_interval_seconds(absl::ToDoubleSeconds(check.interval));
  out.set_duration_seconds(absl::ToDoubleSeconds(check.duration));
  out.set_success(status.success && !check.stale);
  out.set_stale(check.stale);
  out.set_last_success_age_seconds(check.last_success_age == absl::InfiniteDuration()
                                       ? -1
                                       : absl::ToDoubleSeconds(check.last_success_age));
  out.set_caused_by(Clean(CheckCause(graph, host, check)));
  if (check.stale) {
    out.set_unknown(v1::UNKNOWN_KIND_STUCK);
    out.set_reason(
        absl::StrCat("no report for ", HumanDuration(check.age),
                     status.reason.empty() ? "" : "; the last said: ", Clean(status.reason)));
    return;
  }
  out.set_unknown(ToProto(status.unknown));
  out.set_reason(Clean(status.reason));
  FillItems(graph, host, check, out);
}

void FillNotes(const HostView& host, const StateLimits& limits, v1::HostStatus& out) {
  constexpr absl::string_view kWhy[] = {"malformed", "their names are the collector's own",
                                        "their type is another than the fleet's",
                                        "another check serves the same", ""};
  for (size_t i = 0; i < kRefusals; ++i) {
    if (host.refused_series[i] == 0) continue;
    const std::string why =
        i == static_cast<size_t>(Refusal::kLimit)
            ? absl::StrCat("limit of ", limits.series_per_host, " per host, ", limits.label_bytes,
                           " bytes of labels each, ", limits.definition_bytes >> 20, " MiB in all")
            : std::string(kWhy[i]);
    out.add_notes(absl::StrCat(host.refused_series[i], " series not served: ", why));
  }
  if (host.spool.dropped_reports > 0) {
    out.add_notes(absl::StrCat(host.spool.dropped_reports,
                               " reports dropped from its spool since its agent started"));
  }
  if (host.spool.damaged_bytes > 0) {
    out.add_notes(absl::StrCat(HumanBytes(static_cast<double>(host.spool.damaged_bytes)),
                               " of its spool were damaged and are lost"));
  }
  if (host.refused_items > 0) {
    out.add_notes(absl::StrCat(host.refused_items, " items of checks not shown: limit of ",
                               limits.items.items, " per host, with ",
                               HumanBytes(static_cast<double>(limits.items.bytes)), " of text"));
  }
  if (host.refused_reports > 0) {
    out.add_notes(absl::StrCat(host.refused_reports, " reports refused: limits of ",
                               limits.reports_per_second, " per second and ",
                               limits.checks_per_host, " checks"));
  }
}

void FillHost(const CauseGraph& graph, const HostView& host, const StateLimits& limits,
              absl::string_view only_check, v1::HostStatus& out) {
  out.set_name(Clean(host.facts->name));
  out.set_verdict(ToProto(HostVerdict(host)));
  out.set_up(host.up);
  out.set_age_seconds(absl::ToDoubleSeconds(host.age));
  out.set_spool_reports(host.spool.reports);
  out.set_agent_version(host.agent_version);
  out.set_address(Clean(host.address));
  out.set_clock_skew_seconds(absl::ToDoubleSeconds(host.skew));
  out.set_series(host.series);
  out.set_caused_by(Clean(graph.RootCause(host.facts->name)));
  for (const CheckView& check : host.checks) {
    if (!only_check.empty() && check.name != only_check) continue;
    if (check.status->absent) {
      out.add_absent(Clean(check.name));
    } else {
      FillCheck(graph, host, check, *out.add_checks());
    }
  }
  FillNotes(host, limits, out);
}

}  // namespace

Verdict HostVerdict(const HostView& host) {
  if (!host.up) return Verdict::kUnknown;
  Verdict worst = Verdict::kOk;
  for (const CheckView& check : host.checks) {
    if (!check.status->absent) worst = Worse(worst, CheckVerdict(check));
  }
  return worst;
}

void ResolveCauses(const FleetView& all, const StateOptions& options, FleetView& view) {
  const CauseGraph graph = MakeGraph(all, options);
  for (HostView& host : view.hosts) {
    for (CheckView& check : host.checks) {
      if (!check.status->absent) check.caused_by = CheckCause(graph, host, check);
    }
  }
}

std::string CauseThrough(const FleetView& all, const StateOptions& options,
                         const std::string& parent) {
  CauseGraph graph = MakeGraph(all, options);
  // A check that never reported cannot fail; its host can.
  std::vector<std::string> parents = {parent};
  for (size_t cut = parent.rfind('/'); cut != std::string::npos && cut > 0;
       cut = parent.rfind('/', cut - 1)) {
    parents.push_back(parent.substr(0, cut));
  }
  graph.Add("", Verdict::kCrit, std::move(parents));
  return graph.RootCause("");
}

v1::StatusReply MakeStatus(const FleetView& view, const StateOptions& options,
                           const v1::StatusRequest& request) {
  const CauseGraph graph = MakeGraph(view, options);
  v1::StatusReply reply;
  reply.set_collector_version(options.collector_version);
  Verdict worst = Verdict::kOk;
  for (const HostView& host : view.hosts) {
    if (!request.host().empty() && host.facts->name != request.host()) continue;
    FillHost(graph, host, options.limits, request.check(), *reply.add_hosts());
    worst = Worse(worst, HostVerdict(host));
  }
  reply.set_verdict(ToProto(worst));
  if (view.hosts_refused > 0) {
    reply.add_notes(absl::StrCat(view.hosts_refused, " connections of new hosts refused: limit of ",
                                 options.limits.hosts, " hosts"));
  }
  return reply;
}

}  // namespace fleet::collector
