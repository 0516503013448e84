#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "collector/config.h"
#include "collector/state.h"
#include "common/address.h"
#include "common/clock.h"

namespace fleet::collector {

/// The whole collector, in one process with its tests or as fleet-collector. Thread-safe.
class Collector {
 public:
  /// Listens on both ports and serves. Errors: why it cannot.
  static absl::StatusOr<std::unique_ptr<Collector>> Start(CollectorOptions options, Clock& clock);
  virtual ~Collector() = default;

  virtual const Address& grpc_address() const = 0;
  virtual const Address& http_address() const = 0;
  virtual FleetState& state() = 0;

  /// Goes once through what takes reports in and serves them, and returns when that went: a
  /// collector in which something hangs keeps the caller waiting. False when the journal has had
  /// something to write for kJournalStallMax and its thread did not go round. Cheap.
  virtual bool Pulse() = 0;
  static constexpr absl::Duration kJournalStallMax = absl::Seconds(60);

  /// Stops intake, gives what runs `grace` to end, then ends it. Idempotent.
  virtual void Stop(absl::Duration grace) = 0;

  /// Writes "grpc=PORT\nhttp=PORT\n" to `path`, whole or not at all. Errors: by errno.
  absl::Status WritePorts(const std::string& path) const;
};

}  // namespace fleet::collector
