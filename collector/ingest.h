#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/mutex.h"
#include "common/segment/decoder.h"
#include "fleet/v1/ingest.pb.h"

namespace fleet::collector {

class IngestHub;

/// One stream of an agent, from its hello to its end: decodes what arrives and hands it on. Used by
/// one thread at a time.
class IngestStream {
 public:
  /// Called, by any thread, when every report below the ack's next index is safe.
  using Ack = std::function<void(const v1::Ack&)>;

  ~IngestStream();
  IngestStream(const IngestStream&) = delete;
  IngestStream& operator=(const IngestStream&) = delete;

  const std::string& host() const { return host_; }

  /// Takes the records of one message: decode, hand on, ack. Between the last two stands whatever
  /// makes reports durable; `ack` may outlive this stream.
  /// Errors: kInvalidArgument, with the reason, for records that no agent of ours sends; then the
  /// stream must end.
  absl::Status Take(const v1::Records& records, const Ack& ack);

 private:
  friend class IngestHub;
  IngestStream(IngestHub& hub, uint64_t id, std::string host, v1::Hello::Lane lane);

  absl::Status Expect(const v1::Records& records);
  absl::Status Receive(const v1::Records& records, const DecodedReport& report);

  IngestHub& hub_;
  const uint64_t id_;
  const std::string host_;
  const v1::Hello::Lane lane_;
  SegmentDecoder decoder_;
  SegmentId segment_;
  bool any_ = false;  // whether segment_ means something
  const SelfCounter reports_;
  const SelfCounter samples_;
  const SelfCounter bytes_;
};

/// All streams of all agents. Thread-safe.
class IngestHub {
 public:
  /// Ends a stream from outside, with the reason for the agent. Called with the hub's lock held:
  /// must not call back into the hub.
  using Close = std::function<void(const absl::Status&)>;

  /// Everything given must outlive it, and it every stream.
  IngestHub(FleetState& state, SelfMetrics& metrics);

  /// Admits a stream that said `hello`. `certificate_name` is empty without TLS, and then the hello
  /// names the host. A second live stream of a host ends the first.
  /// Errors: kInvalidArgument for a name that is none, kPermissionDenied for another host's,
  /// kResourceExhausted beyond the limit of hosts, kUnavailable while draining.
  absl::StatusOr<std::unique_ptr<IngestStream>> Open(const v1::Hello& hello,
                                                     const std::string& certificate_name,
                                                     const std::string& address, Close close);

  /// Ends every stream and admits no more.
  void Drain();
  size_t size() const;
  /// Sets the gauges of streams; a source of SelfMetrics.
  void SetMetrics();
  /// Counts a refusal by a word of its reason.
  void CountRejected(absl::string_view reason);

 private:
  friend class IngestStream;
  struct Entry {
    std::string host;
    v1::Hello::Lane lane;
    uint64_t connection;  // FleetState's
    Close close;
  };

  void Ended(uint64_t id);

  FleetState& state_;
  SelfMetrics& metrics_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> live_ ABSL_GUARDED_BY(mutex_);  // by host
};

}  // namespace fleet::collector
