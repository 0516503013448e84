#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "fleetctl/command.h"
#include "fleetctl/probe_view.h"

namespace fleet::ctl {
namespace {

int ExplainProbe(const Context& context, const std::string& name) {
  v1::ProbesRequest request;
  request.set_probe(name);
  const auto reply = FetchProbes(context.client, request);
  if (absl::IsNotFound(reply.status())) {
    std::cerr << "fleetctl: expected HOST/CHECK, such as tempo/raid, or a probe; there is none "
                 "called \""
              << name << "\"\n";
    return kExitUsage;
  }
  if (!reply.ok()) return Fail(reply.status());
  for (const v1::ProbeState& probe : reply->probes()) {
    std::cout << RenderProbe(probe, TerminalView());
  }
  return 0;
}

int Run(const Context& context, const std::string& target) {
  v1::StatusRequest request = RequestFor(target);
  const std::string check = request.check();
  if (check.empty()) return ExplainProbe(context, target);
  request.clear_check();  // an absent check is explained too
  const auto reply = FetchStatus(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  const std::string text = RenderExplanation(*reply, request.host(), check, TerminalView());
  if (text.empty()) {
    std::cerr << "fleetctl: " << request.host() << " has no check \"" << check << "\"\n";
    return kExitUsage;
  }
  std::cout << text;
  return 0;
}

}  // namespace

Command::Run AddExplain(CLI::App& app, Context& context) {
  const auto target = std::make_shared<std::string>();
  app.add_subcommand("explain", "one check or probe in full, and what to do")
      ->add_option("target", *target, "HOST/CHECK, or a probe's name or token")
      ->required();
  return [&context, target] { return Run(context, *target); };
}

}  // namespace fleet::ctl
