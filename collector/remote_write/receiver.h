#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "collector/remote_write/cursor.h"
#include "collector/remote_write/delivery.h"
#include "collector/remote_write/host_feed.h"
#include "collector/remote_write/receiver_clock.h"
#include "collector/remote_write/request.h"
#include "common/clock.h"

namespace fleet::collector {

/// What a receiver has come to; counts are since the start.
struct ReceiverStats {
  SampleCounts samples;
  uint64_t retried_samples = 0;  // sent again because nothing was wrong with them
  uint64_t lost_reports = 0;     // gone from the journal before they were sent
  uint64_t requests = 0;
  uint64_t failed_requests = 0;  // to be sent again
  uint64_t sent_bytes = 0;       // bodies, compressed
  uint64_t pending_segments = 0;
  absl::Duration lag;                                 // of the oldest report not delivered
  absl::Time failing_since = absl::InfiniteFuture();  // nothing was taken since
  std::string failure;                                // the newest, in words

  uint64_t dropped() const;
};

/// Sends the journal to one receiver, host by host: a round each second. Round is called by one
/// thread, stats by any.
class Receiver {
 public:
  static constexpr absl::Duration kRoundEvery = absl::Seconds(1);
  /// Requests under way at once, each of another host.
  static constexpr size_t kRequestsAtOnce = 8;
  /// Hosts whose requests the receiver could not take, while it takes those of others.
  static constexpr size_t kParkedMax = 64;
  /// How often the collector's own view of a host goes out (fleet_host_up and its like).
  static constexpr absl::Duration kViewEvery = absl::Seconds(15);
  static constexpr absl::Duration kMetadataEvery = absl::Minutes(5);
  static constexpr absl::Duration kBackoffMin = absl::Milliseconds(500);
  static constexpr absl::Duration kBackoffMax = absl::Seconds(30);

  using PostAll = std::function<std::vector<absl::StatusOr<::fleet::HttpResponse>>(
      absl::Span<const ::fleet::HttpRequest>)>;
  using Snapshot = std::function<FleetView()>;

  /// What a receiver works with. Each must outlive it.
  struct Parts {
    Clock& clock;
    const SegmentSource& source;
    SeriesContext& context;
    CursorStore& cursors;
    PostAll post;
    Snapshot snapshot;  // null: no view of the moment goes out
  };

  Receiver(ReceiverOptions options, Parts parts);
  ~Receiver();

  /// Sends what there is to send now, for about kRoundEvery: what is left is the next round's.
  void Round(const std::stop_token& stop);

  ReceiverStats stats() const;
  const ReceiverOptions& options() const { return options_; }

 private:
  struct Host;
  struct Slot;

  bool Restore();
  void Refresh();
  void TakeViews();
  void DropHosts();
  Host& HostOf(const std::string& name);
  Batch NextBatch(Host& host, absl::Time now);
  /// Sends a request without samples, which every receiver takes that would take any, and hears its
  /// clock. Returns whether it was taken.
  bool Ask(const ::fleet::HttpRequest& head);
  /// Whether our clock is no later than the receiver's, give or take kAheadMax; asks it when that
  /// is not known, or no longer.
  bool ClockAgrees(const ::fleet::HttpRequest& head);
  bool IsAhead() const;
  bool FillSlots();
  bool SendSlots(const ::fleet::HttpRequest& head, const std::stop_token& stop);
  /// Whether any of `responses` would drop a sample and does not say why, while none was taken.
  bool InDoubt(absl::Span<Slot* const> senders,
               absl::Span<const absl::StatusOr<::fleet::HttpResponse>> responses) const;
  void Answered(Slot& slot, const absl::StatusOr<::fleet::HttpResponse>& response, bool& any_taken);
  void Finish(Slot& slot);
  void SendMetadata(const ::fleet::HttpRequest& head);
  void NoteFamilies(const Batch& batch);
  void Save();
  void Fail(std::string words, absl::Duration at_least);
  void Succeed();
  void Publish(bool whole);
  absl::Duration Backoff(int failures);

  const ReceiverOptions options_;
  Parts parts_;
  const SteadyTime started_;
  absl::Time not_before_ = absl::InfinitePast();  // of segments that are new to us
  bool restored_ = false;
  uint64_t seen_version_ = UINT64_MAX;
  std::map<std::string, std::unique_ptr<Host>> hosts_;
  std::string next_host_;       // whose turn it is
  std::vector<Host*> unsaved_;  // may have changes for the cursor
  std::vector<std::unique_ptr<Slot>> slots_;
  KnownRefusals known_;
  ReceiverClock clock_;
  bool asked_ = false;  // and what was sent without samples was taken
  std::map<std::string, std::shared_ptr<const FamilyInfo>> families_;
  absl::flat_hash_set<const SeriesTable*> noted_;
  SteadyTime views_at_;
  SteadyTime metadata_at_;
  SteadyTime retry_at_;
  int failures_ = 0;
  uint64_t random_;
  ReceiverStats work_;

  mutable Mutex mutex_;
  ReceiverStats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
