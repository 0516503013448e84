#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/options.h"
#include "agent/probe_policy.h"
#include "common/config_loader.h"

namespace fleet::v1 {
class AgentConfig;
}

namespace fleet::agent {

/// What the configuration says about when one check runs.
struct CheckSchedule {
  bool configured = false;  // named in the file, hence expected on this host
  bool enabled = true;
  absl::Duration interval;  // zero: the agent's times the check's multiple
  absl::Duration deadline;  // zero: the check's own
  std::string parent;
};

/// agent.yaml as the agent uses it.
struct AgentSettings {
  std::vector<std::string> collectors;  // host:port
  std::string data_dir;
  absl::Duration interval = absl::Seconds(10);
  bool insecure = false;
  std::string host;  // empty: the hostname
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  bool echo_enabled = true;
  uint16_t echo_port = 10235;
  std::vector<std::string> echo_listen;
  absl::Duration spool_age_max = absl::Hours(7 * 24);
  uint64_t spool_bytes_max = 256 << 20;
  bool vantage = true;                             // whether it looks at what collectors plan
  ProbePolicy probe_policy;                        // as far as this lets it
  std::map<std::string, CheckSchedule> schedules;  // by check name
  CheckOptions checks;
};

/// Turns what `loader` has read into settings. What is wrong goes to the loader's problems, what is
/// left out keeps its default.
AgentSettings ToSettings(const v1::AgentConfig& config, ConfigLoader& loader);

}  // namespace fleet::agent
