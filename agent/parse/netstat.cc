#include "agent/parse/netstat.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

absl::StatusOr<double> ParseValue(absl::string_view field, absl::string_view text) {
  double value = 0;
  if (!ParseNumber(text, value) || !std::isfinite(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no number in ", Quote(field), ": ", Quote(text)));
  }
  return value;
}

bool NextFilledLine(absl::string_view& text, absl::string_view& line) {
  while (NextLine(text, line)) {
    if (!line.empty()) return true;
  }
  return false;
}

NetstatLayout::Names& KnownLine(NetstatLayout& layout, size_t i) {
  if (layout.lines.size() <= i) layout.lines.resize(i + 1);
  return layout.lines[i];
}

size_t CountKept(const NetstatLayout& layout) {
  size_t count = 0;
  for (const NetstatLayout::Names& line : layout.lines) count += line.kept.size();
  return count;
}

/// "TcpExt: SyncookiesSent SyncookiesRecv …"
absl::Status ReadNames(absl::string_view names, NetstatLayout::Names& known) {
  known = NetstatLayout::Names();
  absl::string_view rest = names;
  absl::string_view protocol = NextWord(rest);
  if (!absl::ConsumeSuffix(&protocol, ":") || protocol.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no protocol in ", Quote(names)));
  }
  for (absl::string_view name = NextWord(rest); !name.empty(); name = NextWord(rest)) {
    if (IsNetstatFieldKept(protocol, name)) {
      known.kept.push_back({known.words, absl::StrCat(protocol, "_", name)});
    }
    ++known.words;
  }
  known.protocol = std::string(protocol);
  known.text = std::string(names);
  return absl::OkStatus();
}

/// "TcpExt: 0 0 …"
absl::Status ReadValues(absl::string_view values, const NetstatLayout::Names& names,
                        std::vector<NetstatField>& fields) {
  absl::string_view protocol = NextWord(values);
  if (!absl::ConsumeSuffix(&protocol, ":") || protocol != names.protocol) {
    return absl::InvalidArgumentError(
        absl::StrCat("no values of ", Quote(names.protocol), ": ", Quote(protocol)));
  }
  auto next = names.kept.begin();
  size_t words = 0;
  for (absl::string_view value = NextWord(values); !value.empty(); value = NextWord(values)) {
    if (next != names.kept.end() && next->word == words) {
      FLEET_ASSIGN_OR_RETURN(const double number, ParseValue(next->name, value));
      fields.push_back({next->name, number});
      ++next;
    }
    ++words;
  }
  if (words == names.words) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("names and values of ", Quote(names.protocol), " differ in number"));
}

/// "Ip6InOctets"; a name without a 6 is that of no field.
void ReadSnmp6Name(absl::string_view name, NetstatLayout::Names& known) {
  known = NetstatLayout::Names();
  known.text = std::string(name);
  const size_t six = name.find('6');
  if (six == absl::string_view::npos) return;
  const absl::string_view protocol = name.substr(0, six + 1);
  const absl::string_view field = name.substr(six + 1);
  if (!IsNetstatFieldKept(protocol, field)) return;
  known.kept.push_back({0, absl::StrCat(protocol, "_", field)});
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

absl::StatusOr<std::vector<NetstatField>> ParseNetstat(absl::string_view text,
                                                       NetstatLayout& layout) {
  std::vector<NetstatField> fields;
  fields.reserve(CountKept(layout));
  absl::string_view names;
  absl::string_view values;
  for (size_t i = 0; NextFilledLine(text, names); ++i) {
    if (!NextFilledLine(text, values)) {
      return absl::InvalidArgumentError(absl::StrCat("names without values: ", Quote(names)));
    }
    NetstatLayout::Names& known = KnownLine(layout, i);
    if (known.text != names) FLEET_RETURN_IF_ERROR(ReadNames(names, known));
    FLEET_RETURN_IF_ERROR(ReadValues(values, known, fields));
  }
  return fields;
}

absl::StatusOr<std::vector<NetstatField>> ParseSnmp6(absl::string_view text,
                                                     NetstatLayout& layout) {
  std::vector<NetstatField> fields;
  fields.reserve(CountKept(layout));
  absl::string_view line;
  for (size_t i = 0; NextFilledLine(text, line); ++i) {
    NetstatLayout::Names& known = KnownLine(layout, i);
    absl::string_view rest = line;
    const absl::string_view name = NextWord(rest);
    if (known.text != name) ReadSnmp6Name(name, known);
    if (known.kept.empty()) continue;
    FLEET_ASSIGN_OR_RETURN(const double number,
                           ParseValue(known.kept[0].name, absl::StripAsciiWhitespace(rest)));
    fields.push_back({known.kept[0].name, number});
  }
  return fields;
}

}  // namespace fleet::agent
