#include "agent/parse/net_tcp.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kListenersMax = 65536;
constexpr absl::string_view kListening = "0A";
constexpr uint32_t kAcceptsConnections = 1 << 16;  // __SO_ACCEPTCON

/// Eight or 32 hexadecimal digits, four bytes at a time in the machine's own order.
bool ParseAddress(absl::string_view digits, std::string& address) {
  if (digits.size() != 8 && digits.size() != 32) return false;
  uint32_t words[4] = {};
  for (size_t i = 0; i < digits.size() / 8; ++i) {
    if (!absl::SimpleHexAtoi(digits.substr(i * 8, 8), &words[i])) return false;
  }
  char text[INET6_ADDRSTRLEN];
  const int family = digits.size() == 8 ? AF_INET : AF_INET6;
  if (::inet_ntop(family, words, text, sizeof text) == nullptr) return false;
  address = text;
  return true;
}

/// The next field of `line`, which loses it and the blanks before it.
absl::string_view NextField(absl::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const absl::string_view field = line.substr(0, line.find(' '));
  line.remove_prefix(field.size());
  return field;
}

/// Whether `line` is the heading both files start with.
bool IsHeading(absl::string_view line) {
  return absl::StartsWith(line, "Num ") || absl::StrContains(line, "local_address");
}

absl::Status Malformed(absl::string_view what, absl::string_view line) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what, ", got ", Quote(line)));
}

}  // namespace

absl::StatusOr<std::vector<TcpListener>> ParseNetTcp(absl::string_view text) {
  std::vector<TcpListener> listeners;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    if (IsHeading(line)) continue;
    absl::string_view rest = line;
    const absl::string_view slot = NextField(rest);
    const absl::string_view local = NextField(rest);
    const absl::string_view remote = NextField(rest);
    const absl::string_view state = NextField(rest);
    if (!absl::EndsWith(slot, ":") || remote.empty() || state.size() != 2) {
      return Malformed("a socket", line);
    }
    if (state != kListening) continue;

    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(local, absl::MaxSplits(':', 1));
    TcpListener listener;
    uint32_t port = 0;
    if (!ParseAddress(halves.first, listener.address) || halves.second.size() != 4 ||
        !absl::SimpleHexAtoi(halves.second, &port)) {
      return Malformed("address:port", line);
    }
    listener.port = static_cast<uint16_t>(port);
    if (listeners.size() == kListenersMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kListenersMax, " listening sockets"));
    }
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

absl::StatusOr<std::vector<std::string>> ParseNetUnix(absl::string_view text) {
  std::vector<std::string> paths;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    if (IsHeading(line)) continue;
    absl::string_view rest = line;
    const absl::string_view slot = NextField(rest);
    NextField(rest);  // reference count
    NextField(rest);  // protocol
    uint32_t flags = 0;
    uint32_t type = 0;
    uint64_t inode = 0;
    if (!absl::EndsWith(slot, ":") || !absl::SimpleHexAtoi(NextField(rest), &flags) ||
        !absl::SimpleHexAtoi(NextField(rest), &type) || NextField(rest).size() != 2 ||
        !absl::SimpleAtoi(NextField(rest), &inode)) {
      return Malformed("a socket", line);
    }
    // The path is all that is left: it may hold blanks.
    if (!absl::ConsumePrefix(&rest, " ") || !absl::StartsWith(rest, "/")) continue;
    if ((flags & kAcceptsConnections) == 0 || type != 1) continue;
    if (paths.size() == kListenersMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kListenersMax, " listening sockets"));
    }
    paths.emplace_back(rest);
  }
  return paths;
}

}  // namespace fleet::agent
