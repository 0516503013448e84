#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// What one Sidekiq process says of itself.
struct SidekiqInfo {
  std::string hostname;             // in a container: its id
  std::string version;              // empty before Sidekiq 7
  std::vector<std::string> queues;  // that it takes jobs from, each once
  double concurrency = 0;           // threads
};

/// Parses the field `info` of a process's hash, such as
///   {"hostname":"vm","started_at":1795453582.39,"pid":32008,"tag":"","concurrency":4,
///    "queues":["default","push"],"labels":[],"identity":"vm:32008:cdfde4d562f8"}
/// (Sidekiq 6), with "weights" and "version" since 7. Sidekiq 8 has threads and queues in
/// "capsules":{"default":{"concurrency":5,"weights":{"default":0}}} too. Unknown keys are skipped.
///
/// Errors: kInvalidArgument for text that is no JSON object, a known key of another type, no
/// queues at all, or more than 64 KiB.
/// Source: sidekiq/launcher.rb, to_data
absl::StatusOr<SidekiqInfo> ParseSidekiqInfo(absl::string_view json);

}  // namespace fleet::agent
