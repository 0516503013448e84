#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "fleetctl/command.h"
#include "fleetctl/trust_client.h"

namespace fleet::ctl {
namespace {

struct Arguments {
  std::string host;
  bool undo = false;
};

int Run(const Context& context, const Arguments& arguments) {
  v1::RetireRequest request;
  request.set_host(arguments.host);
  request.set_undo(arguments.undo);
  const auto reply = Retire(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  if (arguments.undo) {
    std::cout << arguments.host << " is back; it is listed when it reports again.\n";
    return 0;
  }
  std::cout << arguments.host << " is retired: its series and its status are gone, its certificate "
            << "is revoked, its history stays.\n"
            << (reply->known() ? "" : "It was not heard of since the collector started.\n")
            << "Within a day, back with: fleetctl retire --undo " << arguments.host << "\n";
  return 0;
}

}  // namespace

Command::Run AddRetire(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* retire = app.add_subcommand("retire", "take a host out of the fleet for good");
  retire->add_option("host", arguments->host, "its name")->required();
  retire->add_flag("--undo", arguments->undo, "take it back in, within a day");
  return [&context, arguments] { return Run(context, *arguments); };
}

}  // namespace fleet::ctl
