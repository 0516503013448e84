#pragma once

#include <map>
#include <string>
#include <vector>

#include "collector/probes/probes.h"
#include "common/config_loader.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// What `probes` of collector.yaml says, in its order; `created_at` stays open. Every problem goes
/// to `loader`; settings that are not set are notes there, and `unset` of the probes that need
/// them.
std::vector<ProbeCheck> ReadProbes(const v1::CollectorConfig& config, ConfigLoader& loader);

/// What `probe_modules` says: questions by their name, without a target. Every problem goes to
/// `loader`.
std::map<std::string, probe::Spec> ReadProbeModules(const v1::CollectorConfig& config,
                                                    ConfigLoader& loader);

}  // namespace fleet::collector
