// What ProbeMetrics computes, for tests that have no book of probes.
#include <cmath>

#include "collector/probes/probes.h"

namespace fleet::collector {
namespace {

int64_t Under(const ProbeMetrics& metrics, double seconds) {
  int64_t under = 0;
  for (size_t i = 0; i < kResponseEdges.size() && kResponseEdges[i] <= seconds; ++i) {
    under = metrics.under[i];
  }
  return under;
}

}  // namespace

int64_t ProbeMetrics::Satisfied(double apdex_t) const { return Under(*this, apdex_t); }
int64_t ProbeMetrics::Tolerated(double apdex_t) const {
  return Under(*this, 4 * apdex_t) - Under(*this, apdex_t);
}
std::optional<double> ProbeMetrics::Apdex(double apdex_t) const {
  if (samples == 0) return std::nullopt;
  const double good =
      static_cast<double>(Satisfied(apdex_t)) + static_cast<double>(Tolerated(apdex_t)) / 2;
  return std::round(good / static_cast<double>(samples) * 1000) / 1000;
}

}  // namespace fleet::collector
