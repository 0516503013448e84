#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/time.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Makes sure that a call ends which is to end. gRPC sends a status only after the write under way,
/// and that waits for as long as the other end does not read. Thread-safe.
class CallEnd {
 public:
  /// What an honest end is given to read, so that it learns why.
  static constexpr absl::Duration kPatience = absl::Seconds(2);

  explicit CallEnd(grpc::CallbackServerContext* context);
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;

  /// The call is to end; after kPatience it is cancelled. Once.
  void Begin();
  /// The call has ended: its context is no longer touched. To be called in OnDone.
  void Over();

 private:
  struct Call {
    Mutex mutex;
    grpc::CallbackServerContext* context ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Call> call_;
  grpc::Alarm alarm_;
};

}  // namespace fleet::collector
