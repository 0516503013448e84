#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/config_loader.h"
#include "common/probe/allow_list.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// Whom collector.yaml has told of what happens to probes.
struct WebhookOptions {
  std::string url;
  std::string name;
  std::string type = "webhook";
  std::string ca;  // PEM file; empty: the system's
};

/// How the one that is pinged wants to be told.
enum class PulseShape { kUpdown, kHealthchecks, kKuma, kGatus };
/// "updown", "healthchecks", "kuma", "gatus".
absl::string_view PulseShapeName(PulseShape shape);

/// Whom the collector pings while it is well.
struct PulseOptions {
  std::string url;  // a secret
  std::string name;
  std::string method = "GET";
  PulseShape shape = PulseShape::kUpdown;
  absl::Duration interval = absl::Seconds(60);
  std::string bearer_token;
  std::string ca;  // PEM file; empty: the system's
};

struct UpdownOptions {
  probe::AllowList allow;  // what checks made through the API may ask beyond the public internet
  std::vector<WebhookOptions> webhooks;
  std::vector<PulseOptions> pulses;
  std::string public_url;  // without a slash at its end; may be empty
};

/// What probes_allow, webhooks, pulses and http.public_url of collector.yaml say. Every problem
/// goes to `loader`.
UpdownOptions ReadUpdown(const v1::CollectorConfig& config, ConfigLoader& loader);

}  // namespace fleet::collector
