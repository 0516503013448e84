#include "common/join_token.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/address.h"

namespace fleet {
namespace {

constexpr absl::string_view kPrefix = "fleet1.";
constexpr size_t kSecretBytes = 16;
constexpr size_t kPinBytes = 32;
constexpr size_t kTokenCharsMax = 1024;

}  // namespace

std::string FormatJoinToken(const JoinToken& token) {
  return absl::StrCat(
      kPrefix, absl::WebSafeBase64Escape(
                   absl::StrCat(token.secret, absl::HexStringToBytes(token.pin), token.collector)));
}

absl::StatusOr<JoinToken> ParseJoinToken(absl::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(
      "this is no token: copy the whole of what fleetctl enroll printed, from fleet1. on");
  text = absl::StripAsciiWhitespace(text);
  if (text.size() > kTokenCharsMax || !absl::ConsumePrefix(&text, kPrefix)) return bad;
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes)) return bad;
  if (bytes.size() <= kSecretBytes + kPinBytes) return bad;
  JoinToken token;
  token.secret = bytes.substr(0, kSecretBytes);
  token.pin = absl::BytesToHexString(bytes.substr(kSecretBytes, kPinBytes));
  token.collector = bytes.substr(kSecretBytes + kPinBytes);
  const absl::StatusOr<Address> address = ParseAddress(token.collector);
  if (!address.ok() || address->port == 0) return bad;
  return token;
}

}  // namespace fleet
