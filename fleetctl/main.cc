// fleetctl: asks the collector, for people and scripts.
#include <CLI/CLI.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/grpc_prepare.h"
#include "common/version.h"
#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

void AddConnection(CLI::App& app, ClientOptions& client) {
  const std::string home =
      Environment("XDG_CONFIG_HOME", absl::StrCat(Environment("HOME", ""), "/.config")) + "/fleet";
  client.collector = Environment("FLEET_COLLECTOR", client.collector);
  client.ca = home + "/ca.pem";
  client.cert = home + "/cert.pem";
  client.key = home + "/key.pem";
  app.add_option("--collector", client.collector, "host:port; also $FLEET_COLLECTOR")
      ->capture_default_str();
  app.add_flag("--insecure", client.insecure, "plaintext, to a collector on loopback only");
  app.add_option("--ca", client.ca, "PEM file: whom we believe")->capture_default_str();
  app.add_option("--cert", client.cert, "PEM file: who we are")->capture_default_str();
  app.add_option("--key", client.key, "PEM file")->capture_default_str();
}

int Main(int argc, char** argv) {
  PrepareGrpc();
  Context context;
  CLI::App app(
      "fleetctl asks the collector: is everything all right, and if not, what is the cause?",
      "fleetctl");
  app.set_version_flag("--version", absl::StrCat("fleetctl ", Version()));
  app.require_subcommand(1);
  app.fallthrough();
  AddConnection(app, context.client);
  std::vector<Command::Run> runs;
  for (const Command& command : Commands()) runs.push_back(command.add(app, context));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  // Each entry of the table added one subcommand, in the same order.
  const std::vector<CLI::App*> commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (size_t i = 0; i < runs.size(); ++i) {
    if (commands[i]->parsed()) return runs[i]();
  }
  return kExitUsage;
}

}  // namespace
}  // namespace fleet::ctl

int main(int argc, char** argv) { return fleet::ctl::Main(argc, argv); }
