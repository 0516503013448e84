#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "fleetctl/command.h"
#include "fleetctl/trust_client.h"

namespace fleet::ctl {
namespace {

struct Arguments {
  std::string target;
  bool admin = false;
};

/// A serial as we or openssl print it: hexadecimal, perhaps with colons or after "serial=". No name
/// of a host is that long.
std::string AsSerial(absl::string_view text) {
  absl::ConsumePrefix(&text, "serial=");
  const std::string digits = absl::AsciiStrToLower(absl::StrReplaceAll(text, {{":", ""}}));
  const bool hex = digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hex && digits.size() >= 16 ? digits : std::string();
}

constexpr int kExitNothingKnown = 1;  // a warning: it may have been another's name

int Run(const Context& context, const Arguments& arguments) {
  v1::RevokeRequest request;
  request.set_serial(AsSerial(arguments.target));
  if (request.serial().empty()) {
    request.set_role(arguments.admin ? "admin" : "agent");
    request.set_name(arguments.target);
  }
  const auto reply = Revoke(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  if (reply->serials().empty()) {
    std::cerr << "fleetctl: no certificate of " << (arguments.admin ? "admin " : "host ")
              << reply->name()
              << " is known here that is still good: is the name right? Any that was issued to it "
                 "until now, by its dates, is refused from now on.\n";
    return kExitNothingKnown;
  }
  std::cout << "Revoked" << (reply->name().empty() ? "" : ", of " + reply->name()) << ": "
            << absl::StrJoin(reply->serials(), " ") << "\n";
  if (reply->name().empty()) {
    std::cout << "No host and no admin is known by it. If it is a former issuing CA's, what it "
                 "signed is refused from now on.\n";
    return 0;
  }
  std::cout << "What it had open is closed"
            << (request.serial().empty() ? ", and whatever else was issued to it is refused" : "")
            << ". To let it in again: fleetctl enroll " << (arguments.admin ? "--admin " : "")
            << reply->name() << "\n";
  return 0;
}

}  // namespace

Command::Run AddRevoke(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* revoke =
      app.add_subcommand("revoke", "end a certificate now, with all that it has open");
  revoke->add_option("target", arguments->target, "HOST, or the SERIAL of one certificate")
      ->required();
  revoke->add_flag("--admin", arguments->admin, "the name is an admin's");
  revoke->footer("Exit code 1: nothing of that name was known.");
  return [&context, arguments] { return Run(context, *arguments); };
}

}  // namespace fleet::ctl
