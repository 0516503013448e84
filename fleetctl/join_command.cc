#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "common/join.h"
#include "fleetctl/command.h"

namespace fleet::ctl {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

/// A name without a directory is a file here, as for every other command.
std::string Absolute(const std::string& path) { return std::filesystem::absolute(path); }

int Run(const Context& context, const std::string& given) {
  std::string text = given;
  if (text == "-" && !std::getline(std::cin, text)) {
    return Fail(absl::InvalidArgumentError("expected the token on standard input"));
  }
  const absl::StatusOr<JoinToken> token = ParseJoinToken(text);
  if (!token.ok()) return Fail(token.status());
  const ClientOptions& client = context.client;
  absl::StatusOr<PendingIdentity> files =
      PendingIdentity::Create({Absolute(client.ca), Absolute(client.cert), Absolute(client.key)});
  if (!files.ok()) return Fail(files.status());
  const absl::StatusOr<MemberIdentity> identity = JoinFleet(*token, files->key(), kTimeout);
  if (!identity.ok()) return Fail(identity.status());
  if (identity->facts.role != Role::kAdmin) {
    return Fail(absl::FailedPreconditionError(
        "the token was for the host " + identity->facts.name +
        ", and is used up now; make another, and use it with fleet-agent join"));
  }
  const absl::Status written = files->Commit(identity->tls);
  if (!written.ok()) return Fail(written);
  std::cout << "You are " << identity->facts.name << ", admin of the fleet, until "
            << absl::FormatTime("%Y-%m-%d", identity->facts.not_after, absl::LocalTimeZone())
            << "; fleetctl renews that by itself when you use it.\n\n    export FLEET_COLLECTOR="
            << token->collector << "\n    fleetctl status\n";
  return 0;
}

}  // namespace

Command::Run AddJoin(CLI::App& app, Context& context) {
  const auto text = std::make_shared<std::string>();
  CLI::App* join = app.add_subcommand("join", "become an admin, with a token of enroll --admin");
  join->add_option("token", *text, "the token; - reads it from standard input")->required();
  return [&context, text] { return Run(context, *text); };
}

}  // namespace fleet::ctl
