#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/config_loader.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// Where samples go, and what the receiver wants to know of us.
struct ReceiverOptions {
  std::string name;  // in metrics, notes and the cursor
  std::string url;
  std::string user;  // with password_file: basic authentication
  std::string password_file;
  std::string bearer_token_file;
  std::string ca;  // PEM file; empty: the system's
  std::vector<std::pair<std::string, std::string>> headers;
  absl::Duration timeout = absl::Seconds(30);
  size_t samples_per_request = 5'000;
  /// How far back a receiver is served that was never served before.
  absl::Duration backfill = absl::InfiniteDuration();
};

/// What `remote_write` of collector.yaml says. Every problem goes to `loader`.
std::vector<ReceiverOptions> ReadRemoteWrite(const v1::CollectorConfig& config,
                                             ConfigLoader& loader);

}  // namespace fleet::collector
