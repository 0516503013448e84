#include "fleetctl/channel.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/address.h"
#include "common/client_credentials.h"
#include "common/join.h"
#include "common/private_file.h"
#include "common/status_macros.h"
#include "common/x509.h"

namespace fleet::ctl {
namespace {

constexpr int kReplyBytesMax = 256 << 20;
/// Before that long the end is worth a word when it cannot be put off.
constexpr absl::Duration kWarnBefore = absl::Hours(24 * 14);

/// Puts the end of the admin's own certificate off, while it still can be.
void RenewIfDue(const ClientOptions& options, ClientTls& tls) {
  const absl::StatusOr<CertificateFacts> facts = ReadChain(tls.cert);
  const absl::Time now = Clock::Real().Now();
  if (!facts.ok() || now < RenewalTime(*facts, 0.5) || now > facts->not_after) return;
  absl::StatusOr<std::string> next = RenewCertificate(options.collector, tls, options.timeout);
  const absl::Status status = next.ok() ? WritePrivateFile(options.cert, *next) : next.status();
  if (next.ok()) tls.cert = *std::move(next);
  if (status.ok() || facts->not_after - now > kWarnBefore) return;
  std::cerr << "fleetctl: your certificate ends on "
            << absl::FormatTime("%Y-%m-%d", facts->not_after, absl::LocalTimeZone())
            << " and cannot be renewed: " << status.message() << "\n";
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kReplyBytesMax);
  if (options.insecure) {
    FLEET_ASSIGN_OR_RETURN(const Address address, ParseAddress(options.collector));
    if (!IsLoopback(address.host)) {
      return absl::InvalidArgumentError("--insecure is possible only with a collector on loopback");
    }
    return grpc::CreateCustomChannel(options.collector, grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  absl::StatusOr<ClientTls> tls = ReadClientTls(options.ca, options.cert, options.key);
  if (!tls.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(tls.status().message(),
                     "; become an admin with fleetctl join, name other files by --ca, "
                     "--cert and --key, or try --insecure with a collector on loopback"));
  }
  RenewIfDue(options, *tls);
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials =
      CollectorCredentials(*tls, Clock::Real());
  if (!credentials.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.cert, ": ", credentials.status().message()));
  }
  return grpc::CreateCustomChannel(options.collector, *credentials, arguments);
}

}  // namespace fleet::ctl
