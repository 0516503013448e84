#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/minio/health.h"
#include "agent/options.h"
#include "common/http_client.h"

namespace fleet::agent {

/// How one round of PUT, GET and DELETE went.
struct CanaryResult {
  std::vector<std::pair<absl::string_view, absl::Duration>> operations;  // those that worked
  MinioFinding finding;
};

/// Writes one small object into the canary bucket of `server`, reads it back, compares, deletes it.
/// The object is this host's own (`host`), so that agents do not step on each other. `nonce` makes
/// each round's bytes differ. Takes `timeout` at most.
CanaryResult RunCanary(HttpClient& client, const MinioServer& server, absl::string_view host,
                       absl::string_view nonce, absl::Duration timeout);

}  // namespace fleet::agent
