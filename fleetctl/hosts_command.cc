#include <CLI/CLI.hpp>
#include <iostream>

#include "fleetctl/command.h"

namespace fleet::ctl {

Command::Run AddHosts(CLI::App& app, Context& context) {
  app.add_subcommand("hosts", "who reports, from where, with which clock");
  return [&context] {
    const auto reply = FetchStatus(context.client, {});
    if (!reply.ok()) return Fail(reply.status());
    std::cout << RenderHosts(*reply, TerminalView());
    return 0;
  };
}

}  // namespace fleet::ctl
