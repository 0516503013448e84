#pragma once

#include "absl/strings/string_view.h"

namespace fleet::collector {

/// Whether the client asked for OpenMetrics 1.0 before text 0.0.4. Prometheus 2.42 sends
///   application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,
///   text/plain;version=0.0.4;q=0.5,*/*;q=0.1
/// No header, a browser's or an unreadable one mean text 0.0.4, which everybody reads.
/// Source: RFC 9110 §12.5.1; https://prometheus.io/docs/instrumenting/content_negotiation/
bool WantsOpenMetrics(absl::string_view accept);

/// Whether Accept-Encoding allows gzip with a weight above zero, by name or by '*'.
/// Source: RFC 9110 §12.5.3.
bool AcceptsGzip(absl::string_view accept_encoding);

}  // namespace fleet::collector
