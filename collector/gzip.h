#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::collector {

/// Compresses a stream as one gzip member, at the fastest level there is. The one door to ISA-L.
/// Not thread-safe.
class GzipStream {
 public:
  GzipStream();
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  /// Appends to `out` what is ready of the stream after `piece`; all of it after the `last` one.
  void Compress(absl::string_view piece, bool last, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet::collector
