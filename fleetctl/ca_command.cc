#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "fleetctl/ca.h"
#include "fleetctl/command.h"
#include "fleetctl/trust_client.h"

namespace fleet::ctl {
namespace {

constexpr const char* kCollectorTls = "/var/lib/fleet-collector/tls";

struct Arguments {
  std::string directory = "fleet-ca";
  std::string collector = "collector";
  std::string admin;
  std::string name;
  std::string issuer = kCollectorTls;
  std::string out;
};

/// How the collector's part gets to where the collector looks for it.
std::string InstallLines(const std::string& directory) {
  return absl::StrCat("    install -d -m 700 -o fleet-collector -g fleet-collector ", kCollectorTls,
                      "\n    install -m 600 -o fleet-collector -g fleet-collector ", directory,
                      "/collector/* ", kCollectorTls, "\n");
}

int Init(const Arguments& arguments) {
  const std::string& dir = arguments.directory;
  const absl::Status status = InitCa(dir, arguments.collector, arguments.admin, absl::Now());
  if (!status.ok()) return Fail(status);
  std::cout << "The CA of your fleet is in " << dir << "/. What goes where:\n\n"
            << "  " << dir << "/collector/   to the machine of the collector; there, as root:\n\n"
            << InstallLines(dir)
            << "    systemctl enable fleet-collector; systemctl restart fleet-collector\n\n"
            << "  " << dir << "/admin/       to you, " << arguments.admin << ":\n\n"
            << "    install -d -m 700 ~/.config/fleet\n    install -m 600 " << dir
            << "/admin/* ~/.config/fleet\n"
            << "    export FLEET_COLLECTOR=ADDRESS:10235    # its address on the VPN\n\n"
            << "  " << dir
            << "/root/        offline: on a stick, in a drawer. Who has ca.key is your "
            << "fleet.\n"
            << "                  It is needed again only for another issuing CA.\n\n"
            << "Then delete " << dir << "/collector and " << dir
            << "/admin here. Next: fleetctl enroll HOST\n";
  return 0;
}

int Issuing(const Arguments& arguments) {
  const absl::StatusOr<std::string> former =
      NewIssuing(arguments.directory, arguments.collector, absl::Now());
  if (!former.ok()) return Fail(former.status());
  std::cout << "A new issuing CA is in " << arguments.directory
            << "/collector/. On the machine of the collector, as root:\n\n";
  if (former->empty()) {
    std::cout << "    openssl x509 -noout -serial -in " << kCollectorTls
              << "/issuer.pem    # the former one's, to be noted\n";
  }
  std::cout
      << InstallLines(arguments.directory)
      << "\nThe collector takes it over within seconds. Certificates of the former issuing "
         "CA stay good until they\nend. When its key was stolen, the thief can pose as your "
         "collector: "
         "only another root ends that (Rotate in\noperating.md). To keep his members out until "
         "then, make yourself a certificate of the new CA there, and\nend the former one:\n\n"
         "    fleetctl ca admin "
      << Environment("USER", "NAME") << "\n    fleetctl revoke "
      << (former->empty() ? "SERIAL" : *former)
      << "\n\nThen every host and every other admin joins again.\n";
  return 0;
}

int Admin(const Arguments& arguments) {
  const std::string out =
      arguments.out.empty() ? absl::StrCat("fleet-admin-", arguments.name) : arguments.out;
  const absl::StatusOr<std::string> serial =
      NewAdmin(arguments.issuer, out, arguments.name, absl::Now());
  if (!serial.ok()) return Fail(serial.status());
  std::cout << arguments.name << " is an admin with the certificate " << *serial << ", in " << out
            << "/. On their machine:\n\n    install -d -m 700 ~/.config/fleet\n    install -m 600 "
            << out << "/* ~/.config/fleet\n\nThen delete " << out << " here.\n";
  return 0;
}

int List(const Context& context) {
  const auto reply = FetchCertificates(context.client);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << RenderCertificates(*reply, TerminalView());
  return 0;
}

}  // namespace

Command::Run AddCa(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  arguments->admin = Environment("USER", "admin");
  CLI::App* ca = app.add_subcommand("ca", "the fleet's own certificate authority");
  ca->require_subcommand(1);
  CLI::App* init = ca->add_subcommand(
      "init", "make the CA, and the first certificates of the collector and of an admin");
  CLI::App* issuing =
      ca->add_subcommand("issuing", "make another issuing CA for the collector, with the root");
  for (CLI::App* command : {init, issuing}) {
    command->add_option("--dir", arguments->directory, "where the CA's files are")
        ->capture_default_str();
    command->add_option("--collector-name", arguments->collector, "the name of the collector")
        ->capture_default_str();
  }
  init->add_option("--admin", arguments->admin, "the name of the first admin")
      ->capture_default_str();
  CLI::App* admin = ca->add_subcommand(
      "admin", "make an admin where the issuing key is, for when no admin is left");
  admin->add_option("name", arguments->name, "the admin's name")->required();
  admin->add_option("--issuer", arguments->issuer, "the directory of issuer.pem and issuer.key")
      ->capture_default_str();
  admin->add_option("--out", arguments->out, "the directory for the admin's files");
  CLI::App* list = ca->add_subcommand("list", "every certificate that the collector knows of");
  return [&context, arguments, init, issuing, admin, list] {
    if (init->parsed()) return Init(*arguments);
    if (issuing->parsed()) return Issuing(*arguments);
    if (admin->parsed()) return Admin(*arguments);
    if (list->parsed()) return List(context);
    return kExitUsage;
  };
}

}  // namespace fleet::ctl
