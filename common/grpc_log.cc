#include "common/grpc_log.h"

#include <grpc/support/log.h>

#include "common/log.h"

namespace fleet {

void QuietGrpc() {
  ::gpr_set_log_function([](gpr_log_func_args* line) {
    log::Debug("grpc", {{"file", line->file}, {"line", line->line}, {"said", line->message}});
  });
}

}  // namespace fleet
