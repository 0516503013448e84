#include "agent/probe_policy.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/address.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kSend = "SEND";

bool IsMethod(absl::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == absl::string_view::npos;
}

std::string Advice(absl::string_view entry) {
  return absl::StrCat("; in its agent.yaml, probes: {allow: [\"", entry, "\"]} lets it");
}

/// Whether `target` is `allowed` or goes on from it at a place where a name has ended: neither
/// "https://a.example" nor "a:25" stands for what merely begins alike.
bool BeginsWith(absl::string_view target, absl::string_view allowed) {
  if (!absl::ConsumePrefix(&target, allowed)) return false;
  return target.empty() || absl::EndsWith(allowed, "/") || target[0] == '/' || target[0] == '?';
}

}  // namespace

absl::StatusOr<ProbePolicy::Network> ProbePolicy::ParseNetwork(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat(Quote(text),
                   ": expected an address or network as 10.235.0.0/16, with or without a port as "
                   "10.235.0.4:9000, or \"METHOD URL\", or \"SEND host:port\""));
  Network network;
  std::optional<IpAddress> address = IpAddress::Parse(text);
  if (address.has_value()) {
    network.address = *address;
    network.bits = address->ipv6 ? 128 : 32;
    return network;
  }
  if (const size_t slash = text.find('/'); slash != absl::string_view::npos) {
    address = IpAddress::Parse(text.substr(0, slash));
    if (!address.has_value() || !absl::SimpleAtoi(text.substr(slash + 1), &network.bits) ||
        network.bits < 0 || network.bits > (address->ipv6 ? 128 : 32)) {
      return wrong;
    }
    network.address = *address;
    return network;
  }
  const absl::StatusOr<Address> with_port = ParseAddress(text);
  if (!with_port.ok() || with_port->port == 0) return wrong;
  address = IpAddress::Parse(with_port->host);
  if (!address.has_value()) return wrong;
  network.address = *address;
  network.bits = address->ipv6 ? 128 : 32;
  network.port = with_port->port;
  return network;
}

absl::StatusOr<ProbePolicy> ProbePolicy::Parse(absl::Span<const std::string> allow) {
  ProbePolicy policy;
  for (const std::string& entry : allow) {
    const size_t space = entry.find(' ');
    if (space == std::string::npos) {
      absl::StatusOr<Network> network = ParseNetwork(entry);
      if (!network.ok()) return network.status();
      policy.networks_.push_back(*network);
      continue;
    }
    Request request{entry.substr(0, space), entry.substr(space + 1)};
    const bool url =
        absl::StartsWith(request.target, "http://") || absl::StartsWith(request.target, "https://");
    const bool send = request.method == kSend && ParseAddress(request.target).ok();
    if (!IsMethod(request.method) || !(send || (url && request.method != kSend))) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(entry),
                       ": expected a method and a URL, as \"POST https://…\", or "
                       "\"SEND host:port\""));
    }
    policy.requests_.push_back(std::move(request));
  }
  return policy;
}

bool ProbePolicy::AllowsRequest(absl::string_view method, absl::string_view target) const {
  for (const Request& request : requests_) {
    if (request.method == method && BeginsWith(target, request.target)) return true;
  }
  return false;
}

bool ProbePolicy::AllowsAddress(const IpAddress& address, int port) const {
  for (const Network& network : networks_) {
    if (network.port.has_value() && *network.port != port) continue;
    if (address.In(network.address, network.bits)) return true;
  }
  return false;
}

std::string ProbePolicy::Refuse(const probe::Spec& spec) const {
  if (spec.kind == probe::Kind::kHttp) {
    const bool harmless =
        (spec.http.method == "GET" || spec.http.method == "HEAD") && spec.http.body.empty();
    if (harmless || AllowsRequest(spec.http.method, spec.target)) return "";
    // A redirect may go anywhere, but never with the method and body of the first request: what is
    // not GET or HEAD is not followed.
    return absl::StrCat("this host sends no ", spec.http.method,
                        spec.http.body.empty() ? "" : " with a body",
                        Advice(absl::StrCat(spec.http.method, " ", spec.target)));
  }
  if (spec.kind != probe::Kind::kTcp && spec.kind != probe::Kind::kTls) return "";
  for (const probe::TcpStep& step : spec.tcp.steps) {
    if (step.send.empty() || AllowsRequest(kSend, spec.target)) continue;
    return absl::StrCat("this host sends nothing over TCP",
                        Advice(absl::StrCat(kSend, " ", spec.target)));
  }
  return "";
}

probe::AddressGuard ProbePolicy::guard() const {
  return [policy = *this](const std::string& text, int port) -> std::string {
    std::string refusal = probe::RefusePrivateAddress(text, port);
    if (refusal.empty()) return "";
    const std::optional<IpAddress> address = IpAddress::Parse(text);
    if (address.has_value() && policy.AllowsAddress(*address, port)) return "";
    return absl::StrCat(refusal, Advice(text));
  };
}

}  // namespace fleet::agent
