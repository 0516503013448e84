#include "tests/support/hook_receiver.h"

namespace fleet::test {

std::string HookReceiverScript() { return FLEET_SOURCE_DIR "/tests/support/hook_receiver.py"; }

}  // namespace fleet::test
