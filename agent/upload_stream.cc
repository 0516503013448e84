#include "agent/upload_stream.h"

namespace fleet::agent {

UploadStream::UploadStream(const std::shared_ptr<grpc::Channel>& channel,
                           grpc::CompletionQueue& queue, intptr_t tag_base, SteadyTime now)
    : tag_base_(tag_base), opened_(now), stub_(v1::Ingest::NewStub(channel)) {
  call_ = stub_->PrepareAsyncUpload(&context_, &queue);
  ++pending_;
  call_->StartCall(Tag(kStarted));
}

UploadStream::Event UploadStream::Handle(Operation operation, bool ok) {
  --pending_;
  Event event = Event::kNone;
  switch (operation) {
    case kStarted:
      if (!ok) break;
      started_ = true;
      Read();
      event = Event::kStarted;
      break;
    case kWritten:
      writing_ = false;
      if (ok) event = Event::kWritable;
      break;
    case kRead:
      if (ok) event = Event::kMessage;
      break;
    case kFinished:
    case kOperations:
      break;
  }
  if (!ok && operation != kFinished) Finish();
  if (pending_ == 0 && finishing_) return Event::kEnded;
  return finishing_ ? Event::kNone : event;
}

void UploadStream::Read() {
  if (finishing_) return;
  ++pending_;
  call_->Read(&received_, Tag(kRead));
}

void UploadStream::Write(const v1::AgentMessage& message) {
  writing_ = true;
  ++pending_;
  call_->Write(message, Tag(kWritten));
}

void UploadStream::WritesDone() {
  half_closed_ = true;
  writing_ = true;
  ++pending_;
  call_->WritesDone(Tag(kWritten));
}

void UploadStream::Finish() {
  if (finishing_) return;
  finishing_ = true;
  ++pending_;
  call_->Finish(&status_, Tag(kFinished));
}

absl::Status UploadStream::status() const {
  return absl::Status(static_cast<absl::StatusCode>(status_.error_code()), status_.error_message());
}

}  // namespace fleet::agent
