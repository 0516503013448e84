#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

int Run(const Context& context, const std::string& target) {
  v1::StatusRequest request = RequestFor(target);
  const std::string check = request.check();
  if (check.empty()) {
    std::cerr << "fleetctl: expected HOST/CHECK, such as tempo/raid\n";
    return kExitUsage;
  }
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
  app.add_subcommand("explain", "one check in full, and what to do")
      ->add_option("target", *target, "HOST/CHECK")
      ->required();
  return [&context, target] { return Run(context, *target); };
}

}  // namespace fleet::ctl
