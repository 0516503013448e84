#include "common/probe/dns_message.h"
#include "common/probe/icmp_message.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const bool v6 : {false, true}) {
    const auto reply = fleet::probe::ParseEchoReply(v6, bytes);
    if (reply.has_value()) FLEET_ASSERT(reply->payload.size() + 8 == size);
  }
  const auto answer = fleet::probe::ParseDnsAnswer(bytes);
  if (!answer.ok()) return 0;
  FLEET_ASSERT(!answer->rcode.empty());
  for (const std::string& record : answer->records) {
    FLEET_ASSERT(record.find('\n') == std::string::npos);
  }
  return 0;
}
