#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "common/clock.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::agent {

/// One call of Ingest.Upload on a completion queue. Every operation's tag is `tag_base` plus its
/// Operation; whoever reads the queue hands it to Handle. Must live until it ended. Used by one
/// thread.
class UploadStream {
 public:
  enum Operation : intptr_t { kStarted, kWritten, kRead, kFinished, kOperations };
  enum class Event {
    kNone,
    kStarted,   // the hello may be written
    kMessage,   // message() is new
    kWritable,  // the last message is on its way
    kEnded,     // nothing more comes; status() says why
  };

  UploadStream(const std::shared_ptr<grpc::Channel>& channel, grpc::CompletionQueue& queue,
               intptr_t tag_base, SteadyTime now);

  Event Handle(Operation operation, bool ok);
  /// Whether Write may be called now.
  bool writable() const { return started_ && !writing_ && !finishing_ && !half_closed_; }
  void Write(const v1::AgentMessage& message);
  /// No more will be written; the collector then ends the call.
  void WritesDone();
  void Cancel() { context_.TryCancel(); }

  const v1::CollectorMessage& message() const { return received_; }
  /// Waits for the next message, once the last one was looked at.
  void Read();
  absl::Status status() const;
  SteadyTime opened() const { return opened_; }
  bool half_closed() const { return half_closed_; }
  /// Whether the collector said welcome; kept by the owner.
  bool welcomed = false;

 private:
  void* Tag(Operation operation) const { return reinterpret_cast<void*>(tag_base_ + operation); }
  void Finish();

  const intptr_t tag_base_;
  const SteadyTime opened_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::AgentMessage, v1::CollectorMessage>> call_;
  v1::CollectorMessage received_;
  grpc::Status status_;
  int pending_ = 0;  // operations whose tags have not come back
  bool started_ = false;
  bool writing_ = false;
  bool half_closed_ = false;
  bool finishing_ = false;
};

}  // namespace fleet::agent
