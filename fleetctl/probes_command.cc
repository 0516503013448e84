#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "fleetctl/command.h"
#include "fleetctl/moment.h"
#include "fleetctl/probe_view.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

struct Options {
  std::string probe;
  std::string since;
  std::string output = "table";
  uint32_t limit = 100;
};

int RunProbes(const Context& context, const Options& options) {
  v1::ProbesRequest request;
  request.set_probe(options.probe);
  const auto reply = FetchProbes(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << (options.output == "json" ? RenderProbesJson(*reply)
                                         : RenderProbes(*reply, TerminalView()));
  v1::Verdict worst = v1::VERDICT_OK;
  for (const v1::ProbeState& probe : reply->probes()) {
    if (Badness(probe.verdict()) > Badness(worst)) worst = probe.verdict();
  }
  return static_cast<int>(worst);
}

int RunDowntimes(const Context& context, const Options& options) {
  v1::DowntimesRequest request;
  request.set_probe(options.probe);
  request.set_limit(options.limit);
  if (!options.since.empty()) {
    const absl::StatusOr<v1::Moment> since = ParseMoment(options.since);
    if (!since.ok()) return Fail(since.status());
    request.set_since_ago_seconds(since->ago_seconds());
    request.set_since_unix_seconds(since->unix_seconds());
  }
  const auto reply = FetchDowntimes(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << (options.output == "json" ? RenderDowntimesJson(*reply)
                                         : RenderDowntimes(*reply, TerminalView()));
  return 0;
}

void AddOutput(CLI::App& app, Options& options) {
  app.add_option("-o,--output", options.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
}

}  // namespace

Command::Run AddProbes(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* probes = app.add_subcommand("probes", "the looks from outside, and what they see");
  probes->add_option("probe", options->probe, "name or token; all without one");
  AddOutput(*probes, *options);
  probes->footer("Exit codes: as those of status, of the probes shown.");
  return [&context, options] { return RunProbes(context, *options); };
}

Command::Run AddDowntimes(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* downtimes =
      app.add_subcommand("downtimes", "confirmed failures of probes, newest first");
  downtimes->add_option("probe", options->probe, "name or token; all without one");
  downtimes->add_option("--since", options->since,
                        "those that have not ended by then: so long ago (7d) or a time (RFC 3339)");
  downtimes->add_option("--limit", options->limit, "at most so many (default 100)")
      ->check(CLI::Range(1, 10'000));
  AddOutput(*downtimes, *options);
  return [&context, options] { return RunDowntimes(context, *options); };
}

}  // namespace fleet::ctl
