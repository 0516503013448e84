#include "common/probe/plan.h"
#include "common/status_macros.h"
#include "fleet/v1/probe.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fleet::v1::PlannedProbe message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  const auto planned = fleet::probe::FromProto(message);
  if (!planned.ok()) return 0;
  fleet::v1::PlannedProbe again;
  fleet::probe::ToProto(*planned, again);
  FLEET_ASSERT(fleet::probe::FromProto(again).ok());
  return 0;
}
