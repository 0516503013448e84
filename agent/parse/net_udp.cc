#include "agent/parse/net_udp.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kQueuesColumn = 4;

}  // namespace

absl::StatusOr<UdpQueues> ParseNetUdp(absl::string_view text) {
  UdpQueues sum;
  bool heading = true;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (heading) {
      heading = false;
      continue;
    }
    absl::string_view queues;
    size_t column = 0;
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      if (column++ < kQueuesColumn) continue;
      queues = word;
      break;
    }
    const size_t colon = queues.find(':');
    uint64_t transmit = 0;
    uint64_t receive = 0;
    if (colon == absl::string_view::npos ||
        !absl::SimpleHexAtoi(queues.substr(0, colon), &transmit) ||
        !absl::SimpleHexAtoi(queues.substr(colon + 1), &receive)) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected tx_queue:rx_queue in column 5, got ", Quote(line)));
    }
    sum.transmit_bytes += transmit;
    sum.receive_bytes += receive;
  }
  return sum;
}

}  // namespace fleet::agent
