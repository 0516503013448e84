#include "agent/parse/netstat.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "agent/parse/text.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

bool IsOneOf(absl::string_view name, absl::Span<const absl::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::StatusOr<double> ParseValue(absl::string_view protocol, absl::string_view field,
                                  absl::string_view text) {
  double value = 0;
  if (!ParseNumber(text, value) || !std::isfinite(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no number in ", Quote(protocol), " ", Quote(field), ": ", Quote(text)));
  }
  return value;
}

}  // namespace

bool IsNetstatFieldKept(absl::string_view protocol, absl::string_view field) {
  if (field == "InErrors" || field == "InErrs") return true;
  if (protocol == "TcpExt") {
    return absl::StartsWith(field, "Listen") || absl::StartsWith(field, "Syncookies") ||
           field == "TCPSynRetrans" || field == "TCPTimeouts";
  }
  if (protocol == "IpExt" || protocol == "Ip6") {
    return field == "InOctets" || field == "OutOctets";
  }
  if (protocol == "Ip") return field == "Forwarding";
  if (protocol == "Icmp" || protocol == "Icmp6") return field == "InMsgs" || field == "OutMsgs";
  if (protocol == "Tcp") {
    return IsOneOf(field, {"ActiveOpens", "InSegs", "OutSegs", "OutRsts", "PassiveOpens",
                           "RetransSegs", "CurrEstab"});
  }
  if (protocol == "Udp" || protocol == "Udp6") {
    return IsOneOf(field,
                   {"InDatagrams", "OutDatagrams", "NoPorts", "RcvbufErrors", "SndbufErrors"});
  }
  return false;
}

absl::StatusOr<std::vector<NetstatField>> ParseNetstat(absl::string_view text) {
  std::vector<NetstatField> fields;
  absl::string_view names;
  bool have_names = false;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (!have_names) {
      names = line;
      have_names = true;
      continue;
    }
    have_names = false;
    absl::string_view protocol = NextWord(names);
    if (protocol != NextWord(line) || !absl::ConsumeSuffix(&protocol, ":") || protocol.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("no pair of lines for ", Quote(protocol), ": ", Quote(line)));
    }
    while (true) {
      const absl::string_view name = NextWord(names);
      const absl::string_view value = NextWord(line);
      if (name.empty() != value.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("names and values of ", Quote(protocol), " differ in number"));
      }
      if (name.empty()) break;
      if (!IsNetstatFieldKept(protocol, name)) continue;
      FLEET_ASSIGN_OR_RETURN(const double number, ParseValue(protocol, name, value));
      fields.push_back({absl::StrCat(protocol, "_", name), number});
    }
  }
  if (have_names) {
    return absl::InvalidArgumentError(absl::StrCat("names without values: ", Quote(names)));
  }
  return fields;
}

absl::StatusOr<std::vector<NetstatField>> ParseSnmp6(absl::string_view text) {
  std::vector<NetstatField> fields;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const absl::string_view name = line.substr(0, line.find_first_of(" \t"));
    const size_t six = name.find('6');
    if (six == absl::string_view::npos) continue;
    const absl::string_view protocol = name.substr(0, six + 1);
    const absl::string_view field = name.substr(six + 1);
    if (!IsNetstatFieldKept(protocol, field)) continue;
    FLEET_ASSIGN_OR_RETURN(
        const double number,
        ParseValue(protocol, field, absl::StripAsciiWhitespace(line.substr(name.size()))));
    fields.push_back({absl::StrCat(protocol, "_", field), number});
  }
  return fields;
}

}  // namespace fleet::agent
