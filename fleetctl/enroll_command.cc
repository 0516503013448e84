#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "common/join_token.h"
#include "common/units.h"
#include "fleetctl/command.h"
#include "fleetctl/trust_client.h"

namespace fleet::ctl {
namespace {

struct Arguments {
  std::string name;
  std::string via;
  bool admin = false;
  bool quiet = false;
};

int Run(const Context& context, const Arguments& arguments) {
  v1::EnrollRequest request;
  request.set_role(arguments.admin ? "admin" : "agent");
  request.set_name(arguments.name);
  const auto reply = Enroll(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  JoinToken token;
  token.secret = reply->token();
  token.pin = reply->pin();
  token.collector = arguments.via;
  if (token.collector.empty()) token.collector = reply->collector();
  // A collector that listens everywhere is reached by them as it is by us.
  if (token.collector.empty()) token.collector = context.client.collector;
  const std::string text = FormatJoinToken(token);
  if (arguments.quiet) {
    std::cout << text << "\n";
    return 0;
  }
  const std::string command =
      arguments.admin ? "fleetctl join " : "fleet-agent --config /etc/fleet/agent.yaml join ";
  std::cout << "Within " << HumanDuration(absl::Seconds(reply->seconds())) << ", on the machine of "
            << arguments.name << (arguments.admin ? "" : ", as root") << ":\n\n    " << command
            << text << "\n\nIt works once. It leads to the collector at " << token.collector
            << "; another way: --via HOST:PORT.\n";
  return 0;
}

}  // namespace

Command::Run AddEnroll(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* enroll =
      app.add_subcommand("enroll", "let a host (or with --admin a person) join the fleet");
  enroll->add_option("name", arguments->name, "the name of the host or admin")->required();
  enroll->add_flag("--admin", arguments->admin, "an admin, who may do everything that you may");
  enroll->add_option("--via", arguments->via, "host:port where they reach the collector");
  enroll->add_flag("-q,--quiet", arguments->quiet, "print nothing but the token");
  return [&context, arguments] { return Run(context, *arguments); };
}

}  // namespace fleet::ctl
