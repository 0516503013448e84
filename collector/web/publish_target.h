#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "collector/web/publish_options.h"
#include "collector/web/web_file.h"

namespace fleet::collector {

/// A place that takes files. Used by one thread.
class PublishTarget {
 public:
  using Named = std::pair<std::string, std::shared_ptr<const WebFile>>;

  virtual ~PublishTarget() = default;

  /// Puts all of them there, each as a whole or not at all; one status per file, in their order.
  /// A stop ends it early.
  virtual std::vector<absl::Status> Put(absl::Span<const Named> files,
                                        const std::stop_token& stop) = 0;
};

/// Files that anybody may read, each renamed into place; directories are made. Does not wait for
/// the disk: what is lost in a power cut is written again a minute later.
std::unique_ptr<PublishTarget> MakeDirectoryTarget(const PublishOptions& options);

/// PUTs to a bucket, several at once, signed (AWS Signature Version 4) when there are keys, with
/// Content-Type and Cache-Control: no-cache. Keys are read again for each round.
std::unique_ptr<PublishTarget> MakeBucketTarget(const PublishOptions& options);

}  // namespace fleet::collector
