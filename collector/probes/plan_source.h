#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/probe/look_report.h"
#include "common/probe/plan.h"

namespace fleet::collector {

/// What the probes want of agents. Thread-safe.
class PlanSource {
 public:
  virtual ~PlanSource() = default;
  /// What `vantage` is asked to look at.
  virtual std::vector<probe::Planned> PlanFor(absl::string_view vantage) const = 0;
  /// The tokens of those that are looked at twice as often now.
  virtual std::vector<std::string> Hurried() const = 0;
  /// Takes what a vantage saw; returns at once. A look at what nobody asked of it is ignored.
  virtual void TakeLook(const std::string& vantage, probe::Look look) = 0;
};

}  // namespace fleet::collector
