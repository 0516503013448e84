#include "agent/parse/tinc_config.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kValuesMax = 10'000;
constexpr size_t kCookieDigits = 64;

absl::Status Invalid(absl::string_view expected, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", expected, ", got ", Quote(text)));
}

bool IsIpv4(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](absl::string_view part) {
           int value = 0;
           return part.size() <= 3 && std::all_of(part.begin(), part.end(), absl::ascii_isdigit) &&
                  absl::SimpleAtoi(part, &value) && value <= 255;
         });
}

/// Enough to tell an IPv6 address from a MAC address and from text; the kernel judges the rest.
bool LooksLikeIpv6(absl::string_view text) {
  const auto colons = std::count(text.begin(), text.end(), ':');
  const bool whole = absl::StrContains(text, "::") || colons == 7;
  return colons >= 2 && colons <= 7 && whole && text.size() <= 45 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.';
         });
}

bool LooksLikeMac(absl::string_view text) {
  return std::count(text.begin(), text.end(), ':') == 5 && !absl::StrContains(text, "::");
}

absl::Status Take(absl::string_view key, absl::string_view value, TincConfig& config) {
  if (absl::EqualsIgnoreCase(key, "Name")) {
    if (!IsTincNodeName(absl::StripPrefix(value, "$"))) return Invalid("a node's name", value);
    config.name = std::string(value);
  } else if (absl::EqualsIgnoreCase(key, "Interface")) {
    if (value.size() > 64 || absl::StrContains(value, '/')) {
      return Invalid("an interface's name", value);
    }
    config.interface = std::string(value);
  } else if (absl::EqualsIgnoreCase(key, "ConnectTo")) {
    if (!IsTincNodeName(value)) return Invalid("a node's name", value);
    config.connect_to.emplace_back(value);
  } else if (absl::EqualsIgnoreCase(key, "Address")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(value, absl::MaxSplits(absl::ByAnyChar(" \t"), 1));
    config.addresses.emplace_back(parts.first);
  } else if (absl::EqualsIgnoreCase(key, "Subnet")) {
    if (LooksLikeMac(value)) return absl::OkStatus();
    FLEET_ASSIGN_OR_RETURN(TincSubnet subnet, ParseTincSubnet(value));
    config.subnets.push_back(std::move(subnet));
  } else if (absl::EqualsIgnoreCase(key, "Port")) {
    int port = 0;
    // A service's name is allowed too; fleet does without it then.
    if (!absl::SimpleAtoi(value, &port)) return absl::OkStatus();
    if (port < 0 || port > 65535) return Invalid("a port", value);
    config.port = static_cast<uint16_t>(port);
  }
  return absl::OkStatus();
}

}  // namespace

bool IsTincNodeName(absl::string_view name) {
  return !name.empty() && name.size() <= 255 && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
}

absl::StatusOr<TincSubnet> ParseTincSubnet(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> weight =
      absl::StrSplit(text, absl::MaxSplits('#', 1));
  const std::pair<absl::string_view, absl::string_view> prefix =
      absl::StrSplit(weight.first, absl::MaxSplits('/', 1));
  TincSubnet subnet;
  subnet.address = std::string(prefix.first);
  subnet.ipv6 = LooksLikeIpv6(prefix.first);
  if (!subnet.ipv6 && !IsIpv4(prefix.first)) return Invalid("an IP subnet", text);
  const int bits = subnet.ipv6 ? 128 : 32;
  subnet.prefix_length = bits;
  if (absl::StrContains(weight.first, '/') &&
      (!absl::SimpleAtoi(prefix.second, &subnet.prefix_length) || subnet.prefix_length < 0 ||
       subnet.prefix_length > bits)) {
    return Invalid("an IP subnet", text);
  }
  return subnet;
}

absl::StatusOr<TincConfig> ParseTincConfig(absl::string_view text) {
  TincConfig config;
  bool in_key = false;
  size_t values = 0;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (in_key) {
      in_key = !absl::StartsWith(line, "-----END");
      continue;
    }
    if (absl::StartsWith(line, "-----BEGIN")) {
      in_key = true;
      continue;
    }
    if (line.empty() || line[0] == '#') continue;
    const size_t key_size = std::min(line.find_first_of(" \t="), line.size());
    const absl::string_view key = line.substr(0, key_size);
    absl::string_view value = absl::StripLeadingAsciiWhitespace(line.substr(key_size));
    absl::ConsumePrefix(&value, "=");
    value = absl::StripLeadingAsciiWhitespace(value);
    if (value.empty()) continue;
    if (++values > kValuesMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kValuesMax, " values"));
    }
    if (const absl::Status taken = Take(key, value, config); !taken.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", Quote(key), ": ", taken.message()));
    }
  }
  return config;
}

absl::StatusOr<TincPid> ParseTincPid(absl::string_view text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text.substr(0, text.find('\n')), absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  TincPid result;
  if (words.empty() || !absl::SimpleAtoi(words[0], &result.pid) || result.pid <= 0) {
    return Invalid("a process id", text.substr(0, 20));
  }
  if (words.size() == 1) return result;
  // The message repeats nothing of the text: it may be most of a cookie.
  if (words[1].size() != kCookieDigits ||
      !std::all_of(words[1].begin(), words[1].end(), absl::ascii_isxdigit)) {
    return absl::InvalidArgumentError("expected a cookie of 64 hex digits after the process id");
  }
  result.cookie = std::string(words[1]);
  return result;
}

}  // namespace fleet::agent
