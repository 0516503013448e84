#include <CLI/CLI.hpp>
#include <iostream>

#include "fleetctl/command.h"
#include "fleetctl/trust_client.h"

namespace fleet::ctl {

Command::Run AddHosts(CLI::App& app, Context& context) {
  app.add_subcommand("hosts", "who reports, from where, with which clock and certificate");
  return [&context] {
    const auto reply = FetchStatus(context.client, {});
    if (!reply.ok()) return Fail(reply.status());
    const auto certificates = FetchCertificates(context.client);
    if (!certificates.ok()) return Fail(certificates.status());
    std::cout << RenderHosts(*reply, *certificates, TerminalView());
    return 0;
  };
}

}  // namespace fleet::ctl
