#include "common/grpc_prepare.h"

#include <grpc/support/log.h>

#include "absl/synchronization/mutex.h"
#include "common/log.h"

namespace fleet {

void PrepareGrpc() {
  ::gpr_set_log_function([](gpr_log_func_args* line) {
    log::Debug("grpc", {{"file", line->file}, {"line", line->line}, {"said", line->message}});
  });
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace fleet
