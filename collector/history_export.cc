// The export of the journal over gRPC.
#include <grpcpp/grpcpp.h>

#include <utility>

#include "collector/call_end.h"
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
  /// A reader that takes nothing of a piece for so long is in the way of the next export.
  static constexpr absl::Duration kPatience = absl::Minutes(1);

  Exporting(grpc::CallbackServerContext* context, v1::ExportRequest request)
      : context_(context), request_(std::move(request)), call_end_(context) {}

  const v1::ExportRequest& request() const { return request_; }

  /// From now on the gate may end it.
  absl::Status Enter(Gate& gate, const Identity& identity) {
    auto ticket = gate.Enter(identity, "", [this](const absl::Status& status) { Refuse(status); });
    if (!ticket.ok()) return ticket.status();
    ticket_ = *std::move(ticket);
    return absl::OkStatus();
  }

  /// Whether it may go on. Errors: kCancelled when nobody reads any longer; why the reader is not
  /// trusted any more.
  absl::Status Standing() {
    MutexLock lock(mutex_);
    return StandingLocked();
  }

  /// Errors: as Standing; kDeadlineExceeded for a reader that takes nothing.
  absl::Status Send(v1::ExportChunk chunk, const std::stop_token& stop) {
    MutexLock lock(mutex_);
    FLEET_RETURN_IF_ERROR(StandingLocked());
    chunk_ = std::move(chunk);
    writing_ = true;
    StartWrite(&chunk_);
    const auto is_written = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_; };
    if (!changed_.wait_for(mutex_, stop, absl::ToChronoSeconds(kPatience), is_written) &&
        !stop.stop_requested()) {
      context_->TryCancel();
      changed_.wait(mutex_, stop, is_written);
      return absl::DeadlineExceededError("the reader takes nothing");
    }
    if (stop.stop_requested()) return absl::UnavailableError("the collector is stopping");
    return StandingLocked();
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
    call_end_.Over();
    ticket_.reset();
    { MutexLock lock(mutex_); }  // End has let go of it
    delete this;
  }

 private:
  absl::Status StandingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!refused_.ok()) return refused_;
    return gone_ ? absl::CancelledError("the reader is gone") : absl::OkStatus();
  }
  void Refuse(const absl::Status& status) {
    MutexLock lock(mutex_);
    if (!refused_.ok()) return;
    refused_ = status;
    if (writing_) call_end_.Begin();
  }

  grpc::CallbackServerContext* const context_;
  const v1::ExportRequest request_;
  CallEnd call_end_;
  std::unique_ptr<Gate::Ticket> ticket_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  v1::ExportChunk chunk_;  // while writing_, gRPC's
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
};

grpc::ServerWriteReactor<v1::ExportChunk>* HistoryService::Export(
    grpc::CallbackServerContext* context, const v1::ExportRequest* request) {
  auto* exporting = new Exporting(context, *request);
  const absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  const absl::Status entered =
      identity.ok() ? exporting->Enter(gate_, *identity) : identity.status();
  if (!entered.ok()) {
    exporting->End(entered);
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
    if (const absl::Status standing = exporting->Standing(); !standing.ok()) {
      exporting->End(standing);
      continue;
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
