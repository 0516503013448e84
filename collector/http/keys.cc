#include "collector/http/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace fleet::collector {

AccessKeys::AccessKeys(absl::Span<const std::string> keys) {
  for (const std::string& key : keys) digests_.push_back(DigestOf(key));
}

AccessKeys::Digest AccessKeys::DigestOf(absl::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

bool AccessKeys::Allows(const HttpRequest& request) const {
  constexpr absl::string_view kBearer = "Bearer ";
  absl::string_view key = request.header("authorization");
  if (absl::StartsWithIgnoreCase(key, kBearer)) {
    key = absl::StripAsciiWhitespace(key.substr(kBearer.size()));
  } else if (key = request.header("x-api-key"); key.empty()) {
    key = request.argument("api-key");
  }
  if (key.empty()) return false;
  const Digest digest = DigestOf(key);
  bool found = false;
  for (const Digest& known : digests_) {
    found |= CRYPTO_memcmp(digest.data(), known.data(), digest.size()) == 0;
  }
  return found;
}

}  // namespace fleet::collector
