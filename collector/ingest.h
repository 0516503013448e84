#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collector/event_feed.h"
#include "collector/journal/journal.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/mutex.h"
#include "common/segment/decoder.h"
#include "fleet/v1/ingest.pb.h"

namespace fleet::collector {

class IngestHub;

/// The other end of a stream. Called by any thread, with locks of the hub or the journal's threads
/// behind it: must not block nor call back into either.
class IngestClient {
 public:
  virtual ~IngestClient() = default;
  /// Every report below the ack's next index is safe.
  virtual void Ack(const v1::Ack& ack) = 0;
  /// After Take said so: the same records can be given again now.
  virtual void Resume() = 0;
  /// The stream must end, for this reason.
  virtual void Close(const absl::Status& reason) = 0;
  /// Sends a plan or hurry, instead of an older one that still waits.
  virtual void Tell(const v1::CollectorMessage& message) = 0;
};

/// Who deals with agents that are vantages of probes. Thread-safe; must not call back into the hub.
class VantageHub {
 public:
  virtual ~VantageHub() = default;
  /// A live stream of an agent that looks for us; `id` is the stream's.
  virtual void Joined(const std::string& host, uint64_t id, const std::string& address,
                      std::shared_ptr<IngestClient> client) = 0;
  virtual void Left(const std::string& host, uint64_t id) = 0;
  /// A report that IsLook, never one twice; `offset` leads from the host's clock to ours.
  virtual void Look(const std::string& host, const DecodedReport& report,
                    absl::Duration offset) = 0;
};

/// One stream of an agent, from its hello to its end: decodes what arrives and hands it on. Used by
/// one thread at a time.
class IngestStream {
 public:
  enum class Next {
    kRead,  // what comes next
    kWait,  // nothing was taken: wait for Resume and give the same records again
  };

  ~IngestStream();
  IngestStream(const IngestStream&) = delete;
  IngestStream& operator=(const IngestStream&) = delete;

  const std::string& host() const { return host_; }
  /// For the welcome: what of the spool that the hello announced is safe already.
  const std::vector<v1::Ack>& safe() const { return safe_; }

  /// Takes the records of one message: decode, hand to state and journal. The acks come when the
  /// reports are on the disk, maybe after this stream is gone.
  /// Errors: kInvalidArgument, with the reason, for records that no agent of ours sends,
  /// kResourceExhausted beyond a limit; then the stream must end.
  absl::StatusOr<Next> Take(const v1::Records& records);

 private:
  class Link;
  friend class IngestHub;
  IngestStream(IngestHub& hub, uint64_t id, std::string host, v1::Hello::Lane lane,
               std::shared_ptr<IngestClient> client);

  bool live() const { return lane_ == v1::Hello::LANE_LIVE; }
  absl::Status Expect(const v1::Records& records);
  absl::Status CheckClock(const v1::Records& records);
  absl::Status Decode(const v1::Records& records);
  absl::Status Receive(const v1::Records& records, const DecodedReport& report);
  void NoteHistory(const DecodedReport& report);
  void Remember(absl::string_view check, const std::shared_ptr<const ReportStatus>& status);
  absl::Status Keep(const v1::Records& records);
  void SendAck(uint64_t next_index);
  void NoteDrops(const v1::Records& records);

  IngestHub& hub_;
  const uint64_t id_;
  const std::string host_;
  const v1::Hello::Lane lane_;
  const std::shared_ptr<Link> link_;
  std::vector<v1::Ack> safe_;
  SegmentDecoder decoder_;
  SegmentId segment_;
  bool any_ = false;       // whether segment_ means something
  uint64_t known_ = 0;     // reports of segment_ that were taken before this stream sent it
  SteadyTime came_;        // when the records at hand came
  bool waited_ = false;    // they came before, and there was no room
  absl::Duration offset_;  // from the host's clock to ours, by segment_
  absl::Duration clock_;   // our wall time against the steady one, when segment_ began
  bool unkept_ = false;    // live: something did not fit, so nothing more is acknowledged
  uint64_t dropped_ = 0;   // by the agent's spool
  StatusMemory memory_;    // backlog: what each check said before
  ItemsSize remembered_;   // of it
  bool vantage_ = false;
  const SelfCounter reports_;
  const SelfCounter samples_;
  const SelfCounter bytes_;
};

/// All streams of all agents. Thread-safe.
class IngestHub {
 public:
  /// What else takes part; each may be null.
  struct Parts {
    Journal* journal = nullptr;  // null: nothing is kept, and acks come at once
    EventFeed* events = nullptr;
    VantageHub* vantages = nullptr;
  };

  /// Everything given must outlive it, and it every stream.
  IngestHub(FleetState& state, SelfMetrics& metrics, Clock& clock)
      : IngestHub(state, metrics, clock, Parts()) {}
  IngestHub(FleetState& state, SelfMetrics& metrics, Clock& clock, const Parts& parts);

  /// Admits a stream that said `hello`. `certificate_name` is empty without TLS, and then the hello
  /// names the host. A second stream of a host on the same lane ends the first.
  /// Errors: kInvalidArgument for a name that is none, kPermissionDenied for another host's,
  /// kResourceExhausted beyond the limit of hosts, kUnavailable while draining.
  absl::StatusOr<std::unique_ptr<IngestStream>> Open(const v1::Hello& hello,
                                                     const std::string& certificate_name,
                                                     const std::string& address,
                                                     std::shared_ptr<IngestClient> client);

  /// From now on reports go there; before the first stream.
  void SetParts(const Parts& parts) { parts_ = parts; }
  void SetVantages(VantageHub* vantages) { parts_.vantages = vantages; }

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
    std::shared_ptr<IngestClient> client;
  };

  void Ended(uint64_t id);
  void Announce(const v1::Hello& hello, IngestStream& stream);

  FleetState& state_;
  SelfMetrics& metrics_;
  Clock& clock_;
  Parts parts_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> live_ ABSL_GUARDED_BY(mutex_);     // by host
  absl::flat_hash_map<std::string, uint64_t> backlog_ ABSL_GUARDED_BY(mutex_);  // by host
  /// What each check of a host said before its newest live stream: what its backlog goes on from.
  absl::flat_hash_map<std::string, StatusMemory> before_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
