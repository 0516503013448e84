#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "collector/events.h"
#include "collector/identity.h"
#include "collector/segment_source.h"
#include "collector/state.h"
#include "collector/trust_store.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "fleet/v1/history.grpc.pb.h"

namespace fleet::collector {

/// History over gRPC: one thread reads for all who ask, so that a question about a month delays
/// only other questions; another one exports.
class HistoryService final : public v1::History::CallbackService {
 public:
  static constexpr size_t kQueueMax = 64;
  static constexpr size_t kExportsMax = 4;        // that wait, one at a time is served
  static constexpr uint32_t kEventsMax = 10'000;  // of one reply

  struct Parts {
    FleetState& state;
    TrustStore& trust;                      // knows since when hosts are retired
    const SegmentSource* source = nullptr;  // null: nothing is kept
    EventLog* events = nullptr;             // null: neither
  };

  /// Everything given must outlive it.
  HistoryService(const Parts& parts, Clock& clock, Gate& gate);
  ~HistoryService() override;

  /// Gives up what is under way and admits no more.
  void Drain();

  grpc::ServerUnaryReactor* Series(grpc::CallbackServerContext* context,
                                   const v1::SeriesRequest* request,
                                   v1::SeriesReply* reply) override;
  grpc::ServerUnaryReactor* StatusAt(grpc::CallbackServerContext* context,
                                     const v1::StatusAtRequest* request,
                                     v1::StatusReply* reply) override;
  grpc::ServerWriteReactor<v1::ExportChunk>* Export(grpc::CallbackServerContext* context,
                                                    const v1::ExportRequest* request) override;
  grpc::ServerUnaryReactor* Events(grpc::CallbackServerContext* context,
                                   const v1::EventsRequest* request,
                                   v1::EventsReply* reply) override;

 private:
  using Work = std::function<absl::Status()>;
  class Exporting;

  /// The journal until Drain; afterwards nothing can be read, so that no reading goes on.
  class Source final : public SegmentSource {
   public:
    explicit Source(const SegmentSource* journal) : journal_(journal) {}
    void Stop() { stopped_ = true; }
    bool stopped() const { return stopped_; }
    bool any() const { return journal_ != nullptr; }

    std::vector<std::string> Hosts() const override { return journal_->Hosts(); }
    std::vector<StoredSegment> Segments(absl::string_view host) const override {
      return journal_->Segments(host);
    }
    absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id) const override {
      if (stopped_) return absl::UnavailableError("the collector is stopping");
      return journal_->Read(host, id);
    }
    bool AwaitsOlder(absl::string_view host, absl::Time created) const override {
      return journal_->AwaitsOlder(host, created);
    }
    uint64_t version() const override { return journal_->version(); }
    uint64_t WaitForChange(uint64_t seen, SteadyTime deadline,
                           const std::stop_token& stop) const override {
      return journal_->WaitForChange(seen, deadline, stop);
    }

   private:
    const SegmentSource* const journal_;
    std::atomic<bool> stopped_ = false;
  };

  grpc::ServerUnaryReactor* Start(grpc::CallbackServerContext* context, Work work);
  absl::Time At(const v1::Moment& moment) const;
  absl::Time Until(bool has, const v1::Moment& moment) const;
  void Run(const std::stop_token& stop);
  void RunExports(const std::stop_token& stop);

  const Parts parts_;
  Source source_;
  Clock& clock_;
  Gate& gate_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::pair<grpc::ServerUnaryReactor*, Work>> queue_ ABSL_GUARDED_BY(mutex_);
  std::condition_variable_any export_wake_;
  std::deque<Exporting*> exports_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: they use all of the above
  std::jthread exporter_;
};

}  // namespace fleet::collector
