#include "agent/parse/net_dev.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kLinesMax = 65536;

/// In the order of the columns.
constexpr uint64_t LinkCounters::*kColumns[] = {
    &LinkCounters::receive_bytes,      &LinkCounters::receive_packets,
    &LinkCounters::receive_errs,       &LinkCounters::receive_drop,
    &LinkCounters::receive_fifo,       &LinkCounters::receive_frame,
    &LinkCounters::receive_compressed, &LinkCounters::receive_multicast,
    &LinkCounters::transmit_bytes,     &LinkCounters::transmit_packets,
    &LinkCounters::transmit_errs,      &LinkCounters::transmit_drop,
    &LinkCounters::transmit_fifo,      &LinkCounters::transmit_colls,
    &LinkCounters::transmit_carrier,   &LinkCounters::transmit_compressed,
};

}  // namespace

absl::StatusOr<std::vector<NetDevLine>> ParseNetDev(absl::string_view text) {
  std::vector<NetDevLine> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const size_t colon = line.rfind(':');
    if (colon == absl::string_view::npos) continue;
    NetDevLine parsed;
    parsed.device = std::string(absl::StripAsciiWhitespace(line.substr(0, colon)));
    size_t column = 0;
    for (const absl::string_view number :
         absl::StrSplit(line.substr(colon + 1), ' ', absl::SkipEmpty())) {
      if (column == std::size(kColumns)) break;
      if (!absl::SimpleAtoi(number, &(parsed.counters.*kColumns[column]))) break;
      ++column;
    }
    if (parsed.device.empty() || column < std::size(kColumns)) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a name and 16 counters, got ", Quote(line)));
    }
    if (lines.size() == kLinesMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kLinesMax, " links"));
    }
    lines.push_back(std::move(parsed));
  }
  return lines;
}

}  // namespace fleet::agent
