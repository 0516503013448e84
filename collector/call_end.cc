#include "collector/call_end.h"

#include <chrono>

namespace fleet::collector {

CallEnd::CallEnd(grpc::CallbackServerContext* context) : call_(std::make_shared<Call>()) {
  MutexLock lock(call_->mutex);
  call_->context = context;
}

void CallEnd::Begin() {
  alarm_.Set(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(kPatience),
             [call = call_](bool expired) {
               MutexLock lock(call->mutex);
               if (expired && call->context != nullptr) call->context->TryCancel();
             });
}

void CallEnd::Over() {
  MutexLock lock(call_->mutex);
  call_->context = nullptr;
}

}  // namespace fleet::collector
