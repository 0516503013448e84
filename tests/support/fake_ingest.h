#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/mutex.h"
#include "common/segment/decoder.h"
#include "fleet/v1/ingest.pb.h"

namespace grpc {
class Server;
}

namespace fleet::test {

/// A collector in the test's hand, on a real gRPC server: keeps what it is sent in memory, acks
/// when told to, refuses when told to. Thread-safe.
class FakeIngest {
 public:
  /// One message of records as it came in.
  struct Arrival {
    v1::Hello::Lane lane;
    SegmentId segment;
    uint64_t first_index;
    size_t bytes;
    bool last;
    std::optional<double> age_seconds;
    std::vector<std::string> reports;  // "check value"
  };

  /// Listens on 127.0.0.1:`port`, 0 for a free one.
  explicit FakeIngest(uint16_t port = 0);
  ~FakeIngest();

  uint16_t port() const { return port_; }
  std::string address() const;

  /// Whether records of a lane are acked; those that came unacked are acked with the next ones.
  void SetAcking(v1::Hello::Lane lane, bool acking);
  /// Answers every hello with this; OK: welcome.
  void SetRefusal(absl::Status refusal);
  /// Tells in each welcome what is safe, as a collector with a journal does.
  void SetRemembering(bool remembering);
  /// Ends the server and every connection, without a word.
  void Die();
  /// Listens again on the same port, with all that it knew.
  void Revive();

  std::vector<v1::Hello> hellos() const;
  std::vector<Arrival> arrivals() const;
  /// "check value" of all reports that arrived, each (epoch, segment, index) once, in that order.
  std::vector<std::string> journal() const;
  /// What arrived under one (epoch, segment, index) as two different reports, or out of order.
  std::vector<std::string> faults() const;
  uint64_t unacked_bytes(v1::Hello::Lane lane) const;

 private:
  class Service;
  class Reactor;
  struct Kept {
    std::map<uint64_t, std::string> reports;  // by index
    uint64_t next_index() const;
  };

  const std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  uint16_t port_ = 0;

  mutable Mutex mutex_;
  bool acking_[2] ABSL_GUARDED_BY(mutex_) = {true, true};
  uint64_t unacked_[2] ABSL_GUARDED_BY(mutex_) = {0, 0};
  bool remembering_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Hello> hellos_ ABSL_GUARDED_BY(mutex_);
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  std::map<SegmentId, Kept> journal_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> faults_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::test
