// The export of the journal over gRPC.
#include <grpcpp/grpcpp.h>

#include <utility>

#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "collector/history_service.h"
#include "collector/openmetrics_export.h"
#include "common/status_macros.h"

namespace fleet::collector {

/// One export: the exporting thread writes a piece at a time and waits until it is gone, so a slow
/// reader costs no memory.
class HistoryService::Exporting final : public grpc::ServerWriteReactor<v1::ExportChunk> {
 public:
  explicit Exporting(v1::ExportRequest request) : request_(std::move(request)) {}

  const v1::ExportRequest& request() const { return request_; }

  /// Errors: kCancelled when nobody reads any longer.
  absl::Status Send(v1::ExportChunk chunk, const std::stop_token& stop) {
    MutexLock lock(mutex_);
    if (gone_) return absl::CancelledError("the reader is gone");
    chunk_ = std::move(chunk);
    writing_ = true;
    StartWrite(&chunk_);
    changed_.wait(mutex_, stop,
                  [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_; });
    if (stop.stop_requested()) return absl::UnavailableError("the collector is stopping");
    return gone_ ? absl::CancelledError("the reader is gone") : absl::OkStatus();
  }
  /// Ends the call; afterwards this object is not touched any more.
  void End(const absl::Status& status) {
    MutexLock lock(mutex_);
    Finish(ToGrpc(status));
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    gone_ |= !ok;
    changed_.notify_all();
  }
  void OnCancel() override {
    MutexLock lock(mutex_);
    gone_ = true;
  }
  void OnDone() override {
    { MutexLock lock(mutex_); }  // End has let go of it
    delete this;
  }

 private:
  const v1::ExportRequest request_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  v1::ExportChunk chunk_;  // while writing_, gRPC's
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerWriteReactor<v1::ExportChunk>* HistoryService::Export(
    grpc::CallbackServerContext* context, const v1::ExportRequest* request) {
  auto* exporting = new Exporting(*request);
  const absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  if (!identity.ok()) {
    exporting->End(identity.status());
  } else if (!source_.any()) {
    exporting->End(absl::FailedPreconditionError("this collector keeps nothing"));
  } else {
    MutexLock lock(mutex_);
    if (source_.stopped()) {
      exporting->End(absl::UnavailableError("the collector is stopping"));
    } else if (exports_.size() >= kExportsMax) {
      exporting->End(absl::ResourceExhaustedError("too many exports wait already"));
    } else {
      exports_.push_back(exporting);
      export_wake_.notify_one();
    }
  }
  return exporting;
}

void HistoryService::RunExports(const std::stop_token& stop) {
  while (true) {
    Exporting* exporting = nullptr;
    {
      MutexLock lock(mutex_);
      export_wake_.wait(mutex_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !exports_.empty();
      });
      if (exports_.empty()) return;
      exporting = exports_.front();
      exports_.pop_front();
    }
    const v1::ExportRequest& from = exporting->request();
    ExportRequest request;
    request.host = from.host();
    if (from.has_since()) request.since = At(from.since());
    if (from.has_until()) request.until = At(from.until());
    SeriesTables tables;
    const StateOptions& options = parts_.state.options();
    SeriesContext series{parts_.state.families(),
                         parts_.state.layouts(),
                         tables,
                         {options.limits.series_per_host, options.limits.label_bytes},
                         options.job};
    const absl::StatusOr<ExportResult> result =
        ExportOpenMetrics(source_, series, request, [&](absl::string_view text) {
          v1::ExportChunk chunk;
          chunk.set_text(std::string(text));
          return exporting->Send(std::move(chunk), stop);
        });
    absl::Status status = result.status();
    if (status.ok()) {
      v1::ExportChunk last;
      last.set_lost_segments(result->lost_segments);
      last.set_left_out(result->left_out);
      status = exporting->Send(std::move(last), stop);
    }
    exporting->End(status);
  }
}

}  // namespace fleet::collector
