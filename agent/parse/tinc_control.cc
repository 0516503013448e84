#include "agent/parse/tinc_control.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/parse/tinc_config.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kLinesMax = 65'536;
constexpr size_t kNodeWordsMin = 20;

using Words = absl::Span<const absl::string_view>;

absl::Status Malformed(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what, ", got ", Quote(text)));
}

/// The words that follow the address and its "port N", by name.
absl::Status ReadNode(Words words, TincNode& node) {
  // From the status on every version agrees: status nexthop via distance mtu minmtu maxmtu …
  if (!absl::SimpleHexAtoi(words[0], &node.status)) return Malformed("a status", words[0]);
  for (const absl::string_view name : {words[1], words[2]}) {  // "-" for a node never reached
    if (name != "-" && !IsTincNodeName(name)) return Malformed("a node's name", name);
  }
  node.nexthop = std::string(words[1]);
  node.via = std::string(words[2]);
  if (!absl::SimpleAtoi(words[4], &node.mtu) || node.mtu < 0) return Malformed("an MTU", words[4]);
  if (!absl::SimpleAtoi(words[5], &node.mtu_min) || node.mtu_min < 0) {
    return Malformed("an MTU", words[5]);
  }
  if (words.size() > 7) {
    int64_t changed_s = 0;
    if (!absl::SimpleAtoi(words[7], &changed_s)) return Malformed("a time", words[7]);
    node.changed = absl::FromUnixSeconds(changed_s);
  }
  if (words.size() > 8) {
    int64_t rtt_us = 0;
    if (!absl::SimpleAtoi(words[8], &rtt_us)) return Malformed("a round trip", words[8]);
    if (rtt_us >= 0) node.udp_rtt = absl::Microseconds(rtt_us);
  }
  if (words.size() > 12) {
    TincNode::Traffic traffic;
    if (!absl::SimpleAtoi(words[10], &traffic.received_bytes) ||
        !absl::SimpleAtoi(words[12], &traffic.sent_bytes)) {
      return Malformed("byte counters", words[10]);
    }
    node.traffic = traffic;
  }
  return absl::OkStatus();
}

absl::StatusOr<TincNode> ParseNode(Words words, absl::string_view line) {
  if (words.size() < kNodeWordsMin) {
    return absl::UnimplementedError(absl::StrCat("this tincd's node line has ", words.size(),
                                                 " words, at least ", kNodeWordsMin,
                                                 " were expected: ", Quote(line)));
  }
  TincNode node;
  if (!IsTincNodeName(words[2])) return Malformed("a node's name", words[2]);
  node.name = std::string(words[2]);
  // The node's id stands before the address since 1.1pre12; the literal "port" tells.
  const size_t port_word = words[5] == "port" ? 5 : 4;
  if (words[port_word] != "port") return Malformed("\"port\" after the address", line);
  node.host = std::string(words[port_word - 1]);
  // port N cipher digest maclength compression options status
  const size_t status_word = port_word + 7;
  if (words.size() < status_word + 7) return Malformed("a whole node line", line);
  if (const absl::Status read = ReadNode(words.subspan(status_word), node); !read.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("node ", node.name, ": ", read.message()));
  }
  return node;
}

}  // namespace

TincPath TincNode::path() const {
  if (host == "MYSELF") return TincPath::kSelf;
  if (!reachable()) return TincPath::kUnreachable;
  if (via != name) return TincPath::kRelayed;
  if ((status & 0x2) == 0) return TincPath::kUnknown;
  if (mtu_min > 0) return TincPath::kDirect;
  return nexthop == name ? TincPath::kTcp : TincPath::kRelayed;
}

absl::StatusOr<TincDump> ParseTincDump(absl::string_view text) {
  TincDump dump;
  size_t lines = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (++lines > kLinesMax) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kLinesMax, " lines"));
    }
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \r"), absl::SkipEmpty());
    if (words.size() < 2 || words[0] != "18") continue;
    if (words[1] == "-1") {
      return absl::UnimplementedError("this tincd does not know a dump request");
    }
    if (words[1] == "3") {
      if (words.size() == 2) {
        dump.nodes_complete = true;
        continue;
      }
      FLEET_ASSIGN_OR_RETURN(TincNode node, ParseNode(words, line));
      dump.nodes.push_back(std::move(node));
    } else if (words[1] == "5") {
      if (words.size() == 2) dump.subnets_complete = true;
      if (words.size() < 4 || !IsTincNodeName(words[3])) continue;  // "(broadcast)" among others
      dump.subnets.push_back({std::string(words[2]), std::string(words[3])});
    }
  }
  return dump;
}

absl::StatusOr<std::string> ParseTincGreeting(absl::string_view text) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  const std::vector<absl::string_view> first =
      absl::StrSplit(lines.empty() ? "" : lines[0], ' ', absl::SkipEmpty());
  if (first.size() < 3 || first[0] != "0" || !IsTincNodeName(first[1]) || lines.size() < 2 ||
      !absl::StartsWith(lines[1], "4 ")) {
    return Malformed("tincd's greeting", text);
  }
  return std::string(first[1]);
}

}  // namespace fleet::agent
