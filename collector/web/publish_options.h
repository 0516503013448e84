#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/config_loader.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// Where the public files go: a directory or a bucket.
struct PublishOptions {
  std::string name;       // in metrics and notes
  std::string directory;  // either this
  std::string url;        // or this: of a bucket, or a folder in it; no '/' at the end
  std::string region = "us-east-1";
  std::string access_key_file;  // both or none; without them requests are not signed
  std::string secret_key_file;
  std::string ca;  // PEM file; empty: the system's
  std::vector<std::pair<std::string, std::string>> headers;
  absl::Duration timeout = absl::Seconds(15);
};

/// What `publish` of collector.yaml says. Every problem goes to `loader`.
std::vector<PublishOptions> ReadPublish(const v1::CollectorConfig& config, ConfigLoader& loader);

}  // namespace fleet::collector
