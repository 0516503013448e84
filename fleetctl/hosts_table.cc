#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/units.h"
#include "fleetctl/status_view.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

std::string Ago(double seconds) {
  return seconds < 0 ? "never" : HumanDuration(absl::Seconds(seconds));
}

/// "89 d left", "ended 2 d ago", "revoked".
std::string StateOf(const v1::Certificate& certificate, double now_seconds) {
  if (certificate.revoked()) return "revoked";
  const double left = certificate.not_after_seconds() - now_seconds;
  if (left < 0) return absl::StrCat("ended ", HumanDuration(absl::Seconds(-left)), " ago");
  return absl::StrCat(HumanDuration(absl::Seconds(left)), " left");
}

/// Of several certificates of one host the one that counts: what is not revoked, then the newest.
std::map<std::string, v1::Certificate> ByHost(const v1::CertificatesReply& reply) {
  std::map<std::string, v1::Certificate> best;
  for (const v1::Certificate& certificate : reply.certificates()) {
    if (certificate.role() != "agent") continue;
    const auto [at, is_new] = best.emplace(certificate.name(), certificate);
    if (is_new) continue;
    const bool better = at->second.revoked() != certificate.revoked()
                            ? at->second.revoked()
                            : certificate.not_after_seconds() > at->second.not_after_seconds();
    if (better) at->second = certificate;
  }
  return best;
}

}  // namespace

std::string RenderHosts(const v1::StatusReply& reply, const v1::CertificatesReply& certificates,
                        const ViewOptions& options) {
  const std::map<std::string, v1::Certificate> by_host = ByHost(certificates);
  std::set<std::string> shown;
  const auto state_of = [&](const std::string& host) {
    const auto found = by_host.find(host);
    return found == by_host.end() ? std::string("-")
                                  : StateOf(found->second, certificates.now_seconds());
  };
  Table table({"HOST", "UP", "SEEN", "CLOCK", "SERIES", "CERTIFICATE", "AGENT", "ADDRESS"});
  for (const v1::HostStatus& host : reply.hosts()) {
    shown.insert(host.name());
    const double skew = host.clock_skew_seconds();
    table.Add(
        {host.name(), host.up() ? "up" : "silent", Ago(host.age_seconds()),
         absl::StrCat(skew < 0 ? "" : "+", HumanDuration(absl::Seconds(skew))),
         absl::StrCat(host.series()), state_of(host.name()), host.agent_version(), host.address()},
        host.up() ? v1::VERDICT_OK : v1::VERDICT_UNKNOWN, 1);
  }
  for (const v1::RetiredHost& host : certificates.retired()) {
    if (!shown.insert(host.name()).second) continue;
    table.Add({host.name(), "retired", Ago(certificates.now_seconds() - host.since_seconds()), "-",
               "-", "revoked", "", ""},
              v1::VERDICT_OK, -1);
  }
  // Enrolled, but nothing was heard of it.
  for (const auto& [host, certificate] : by_host) {
    if (!shown.insert(host).second) continue;
    table.Add(
        {host, "absent", "-", "-", "-", StateOf(certificate, certificates.now_seconds()), "", ""},
        v1::VERDICT_OK, -1);
  }
  return table.Render(options.table_width(), options.color);
}

std::string RenderCertificates(const v1::CertificatesReply& certificates,
                               const ViewOptions& options) {
  Table table({"ROLE", "NAME", "SERIAL", "UNTIL", "STATE"});
  for (const v1::Certificate& one : certificates.certificates()) {
    const bool dated = one.not_after_seconds() > 0;
    table.Add(
        {one.role().empty() ? "-" : one.role(), one.name().empty() ? "-" : one.name(), one.serial(),
         dated ? absl::FormatTime("%Y-%m-%d",
                                  absl::UnixEpoch() + absl::Seconds(one.not_after_seconds()),
                                  absl::LocalTimeZone())
               : "-",
         one.revoked() ? absl::StrCat("revoked: ", one.revoked_why())
                       : StateOf(one, certificates.now_seconds())},
        one.revoked() ? v1::VERDICT_UNKNOWN : v1::VERDICT_OK, 4);
  }
  return table.Render(options.table_width(), options.color);
}

}  // namespace fleet::ctl
