#pragma once

#include <string>
#include <vector>

#include "agent/checks/checks.h"
#include "agent/config.h"
#include "agent/memory_store.h"
#include "agent/scheduler.h"
#include "common/report.h"
#include "common/segment/segment.h"

/// What fleet-agent's subcommands do, apart from parsing their arguments (main.cc).
namespace fleet::agent {

/// Every check of the table that `settings` leaves enabled, made and loaded into `store`.
/// `only`: these names alone (empty: all).
std::vector<ScheduledCheck> MakeChecks(const AgentSettings& settings, const CheckEnv& env,
                                       const std::vector<std::string>& only, MemoryStore& store);

/// Runs each check once, at the same time, and returns their reports sorted by name; what does not
/// come back within its deadline is reported as stuck (then `all_back` is false, and the process
/// must end by _exit). Nothing is written.
std::vector<Report> RunOnce(std::vector<ScheduledCheck> checks, MemoryStore& store, Clock& clock,
                            bool& all_back);

/// `fleet-agent check`: for people, worst first, reasons in full.
std::string RenderTable(const std::vector<Report>& reports);
/// `fleet-agent check -o json`, its form fixed by the design: one object, one line.
std::string RenderJson(const std::string& host, const std::vector<Report>& reports);

/// `fleet-agent spool export`: one report on one line, as RenderJson has it, after whose it is,
/// when the run started and where it stands in the spool.
std::string RenderReportLine(const std::string& host, const SegmentId& segment, uint64_t index,
                             const Report& report);

/// 0 ok, 1 warn, 2 crit, 3 unknown (and nothing crit).
int ExitCode(const std::vector<Report>& reports);

/// docs/metrics.md: every family that any check declares, from the descriptors themselves.
std::string RenderMetricsDoc(const CheckEnv& env);

}  // namespace fleet::agent
