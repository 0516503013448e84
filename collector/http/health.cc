#include "collector/http/health.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/report.h"
#include "common/units.h"

namespace fleet::collector {
namespace {

struct Trouble {
  Verdict verdict;
  std::string line;
};

Verdict FromProto(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_OK:
      return Verdict::kOk;
    case v1::VERDICT_WARN:
      return Verdict::kWarn;
    case v1::VERDICT_CRIT:
      return Verdict::kCrit;
    default:
      return Verdict::kUnknown;
  }
}

std::string Line(absl::string_view path, Verdict verdict, absl::string_view reason,
                 absl::string_view caused_by) {
  std::string line = absl::StrCat(path, " ", VerdictName(verdict));
  if (!reason.empty()) absl::StrAppend(&line, ": ", OneLine(reason));
  if (!caused_by.empty()) absl::StrAppend(&line, " (follows from ", OneLine(caused_by), ")");
  return line;
}

/// Everything that is not ok, worst first.
std::vector<Trouble> Troubles(const v1::StatusReply& status) {
  std::vector<Trouble> troubles;
  for (const v1::HostStatus& host : status.hosts()) {
    if (!host.up()) {
      const std::string silence =
          host.age_seconds() < 0
              ? "never heard of"
              : absl::StrCat("silent for ", HumanDuration(absl::Seconds(host.age_seconds())));
      troubles.push_back(
          {Verdict::kUnknown, Line(host.name(), Verdict::kUnknown, silence, host.caused_by())});
    }
    for (const v1::CheckStatus& check : host.checks()) {
      const Verdict verdict = FromProto(check.verdict());
      if (verdict == Verdict::kOk) continue;
      troubles.push_back({verdict, Line(absl::StrCat(host.name(), "/", check.name()), verdict,
                                        check.reason(), check.caused_by())});
    }
  }
  for (const v1::ProbeState& probe : status.probes()) {
    const Verdict verdict = FromProto(probe.verdict());
    if (verdict == Verdict::kOk) continue;
    troubles.push_back({verdict, Line(absl::StrCat("probe/", OneLine(probe.name())), verdict,
                                      probe.reason(), probe.caused_by())});
  }
  std::stable_sort(troubles.begin(), troubles.end(), [](const Trouble& a, const Trouble& b) {
    return IsWorse(a.verdict, b.verdict);
  });
  return troubles;
}

/// The verdict on the subject; nothing when it is not there.
std::optional<Verdict> VerdictOn(absl::string_view subject, const v1::StatusReply& status) {
  if (subject == "*") {
    // Nobody has reported and nothing is looked at: nothing is known.
    if (status.hosts().empty() && status.probes().empty()) return Verdict::kUnknown;
    return FromProto(status.verdict());
  }
  if (status.hosts().empty()) return std::nullopt;
  const v1::HostStatus& host = status.hosts(0);
  if (!absl::StrContains(subject, '/')) {
    return host.up() ? FromProto(host.verdict()) : Verdict::kUnknown;
  }
  if (host.checks().empty()) return std::nullopt;
  return host.up() ? FromProto(host.checks(0).verdict()) : Verdict::kUnknown;
}

}  // namespace

HttpResponse HealthAnswer(absl::string_view subject, const v1::StatusReply& status,
                          bool fail_on_warn, bool reasons) {
  HttpResponse response;
  response.headers.emplace_back("Cache-Control", "no-store");
  const std::optional<Verdict> verdict = VerdictOn(subject, status);
  if (!verdict.has_value()) {
    response.status = 404;
    response.body = "no such host or check\n";
    return response;
  }
  const bool fails = *verdict == Verdict::kCrit || *verdict == Verdict::kUnknown ||
                     (fail_on_warn && *verdict == Verdict::kWarn);
  response.status = fails ? 503 : 200;
  response.body = absl::StrCat("fleet-health:", subject, fails ? ":fail" : ":pass", "\nverdict ",
                               VerdictName(*verdict), "\n");
  if (!reasons) return response;
  if (status.hosts().empty() && status.probes().empty()) {
    absl::StrAppend(&response.body, "no host has reported\n");
  }
  for (const Trouble& trouble : Troubles(status)) {
    absl::StrAppend(&response.body, trouble.line, "\n");
  }
  return response;
}

}  // namespace fleet::collector
