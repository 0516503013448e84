#include "agent/join_command.h"

#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/client_credentials.h"
#include "common/join.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kJoinTimeout = absl::Seconds(30);
constexpr absl::Duration kRenewTimeout = absl::Seconds(30);

int Fail(const absl::Status& status) {
  std::cerr << "fleet-agent: " << status.message() << "\n";
  return absl::IsInvalidArgument(status) ? 64 : 1;
}

/// Where the systemd unit of the package keeps its own.
bool IsPackaged(const std::string& config) { return config == "/etc/fleet/agent.yaml"; }

}  // namespace

int RunJoinCommand(const JoinArguments& arguments, const AgentSettings& settings) {
  std::string text = arguments.token;
  if (text == "-" && !std::getline(std::cin, text)) {
    return Fail(absl::InvalidArgumentError("expected the token on standard input"));
  }
  absl::StatusOr<JoinToken> token = ParseJoinToken(text);
  if (!token.ok()) return Fail(token.status());
  if (!arguments.collector.empty()) token->collector = arguments.collector;
  const IdentityPaths paths = {settings.tls_ca, settings.tls_cert, settings.tls_key};
  if (paths.ca.empty()) {
    return Fail(absl::InvalidArgumentError(
        "nowhere to keep the certificate: name an agent.yaml with data_dir by --config"));
  }
  absl::StatusOr<PendingIdentity> files = PendingIdentity::Create(paths);
  if (!files.ok()) return Fail(files.status());
  const absl::StatusOr<MemberIdentity> identity = JoinFleet(*token, files->key(), kJoinTimeout);
  if (!identity.ok()) return Fail(identity.status());
  if (identity->facts.role != Role::kAgent) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("the token was for the admin ", identity->facts.name,
                     ", and is used up now; make another, and use it with fleetctl join")));
  }
  const absl::Status written = files->Commit(identity->tls);
  if (!written.ok()) return Fail(written);
  std::cout << "This host is " << identity->facts.name << " of the fleet until "
            << absl::FormatTime("%Y-%m-%d", identity->facts.not_after, absl::LocalTimeZone())
            << "; the agent renews that by itself.\n"
            << "  key          " << paths.key << "  (never leaves this machine)\n"
            << "  certificate  " << paths.cert << "\n"
            << "  CA           " << paths.ca << "\n";
  if (settings.collectors.empty()) {
    std::cout << "Next, name the collector in "
              << (arguments.config.empty() ? "agent.yaml" : arguments.config)
              << ":\n\n    collector: " << token->collector << "\n\n";
  }
  std::cout << (settings.collectors.empty() ? "Then start the agent" : "Next, start the agent")
            << (IsPackaged(arguments.config)
                    ? ": systemctl enable fleet-agent; systemctl restart fleet-agent"
                    : "")
            << "\n";
  return 0;
}

std::unique_ptr<Renewal> StartRenewal(const AgentSettings& settings) {
  if (settings.insecure || settings.collectors.empty()) return nullptr;
  const auto ask = [settings]() -> absl::StatusOr<std::string> {
    FLEET_ASSIGN_OR_RETURN(const ClientTls tls,
                           ReadClientTls(settings.tls_ca, settings.tls_cert, settings.tls_key));
    absl::Status last;
    // Any that has the issuing key.
    for (const std::string& collector : settings.collectors) {
      absl::StatusOr<std::string> next = RenewCertificate(collector, tls, kRenewTimeout);
      if (next.ok()) return next;
      last = next.status();
    }
    return last;
  };
  std::random_device random;
  const double jitter = std::uniform_real_distribution<double>(0, 1)(random);
  return std::make_unique<Renewal>(settings.tls_cert, ask, jitter, Clock::Real());
}

}  // namespace fleet::agent
