// What the book asks of agents, and what they answer.
#include <utility>

#include "collector/probes/book.h"

namespace fleet::collector {

std::vector<probe::Planned> ProbeBook::PlanFor(absl::string_view vantage) const {
  std::vector<probe::Planned> plan;
  MutexLock lock(mutex_);
  for (const std::string& token : order_) {
    const ProbeEntry& entry = entries_.at(token);
    const ProbeCheck& check = *entry.check;
    // A file of ours says nothing to an agent.
    if (!check.enabled || !check.unset.empty() || check.type == "pulse" ||
        !check.spec.tls.ca_file.empty() || !LooksFrom(check, vantage)) {
      continue;
    }
    plan.push_back({token, check.period, check.both_families, entry.NextSpec()});
  }
  return plan;
}

std::vector<std::string> ProbeBook::Hurried() const {
  std::vector<std::string> tokens;
  MutexLock lock(mutex_);
  for (const auto& [token, entry] : entries_) {
    if (entry.check->enabled && entry.confirmation.hurried(entry.Rule())) tokens.push_back(token);
  }
  return tokens;
}

void ProbeBook::TakeLook(const std::string& vantage, probe::Look look) {
  // Asked for by itself, it is that family's even when no address was found.
  if (look.family != probe::IpFamily::kAny) look.result.family = look.family;
  Observe({std::move(look.token), vantage, std::move(look.result)});
}

}  // namespace fleet::collector
