#pragma once

#include <string>

namespace fleet::collector {

/// The collector's part of docs/metrics.md: what it says of hosts and checks, and of itself.
std::string RenderMetricsDoc();

}  // namespace fleet::collector
