#include "collector/http/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace fleet::collector {
namespace {

/// Every key that a request carries, the most deliberate place first.
std::vector<absl::string_view> KeysOf(const HttpRequest& request) {
  constexpr absl::string_view kBearer = "Bearer ";
  std::vector<absl::string_view> keys = {request.header("x-api-key"), request.argument("api-key")};
  const absl::string_view authorization = request.header("authorization");
  if (absl::StartsWithIgnoreCase(authorization, kBearer)) {
    keys.push_back(absl::StripAsciiWhitespace(authorization.substr(kBearer.size())));
  }
  keys.erase(std::remove(keys.begin(), keys.end(), ""), keys.end());
  return keys;
}

}  // namespace

KeyBook::Digest KeyBook::DigestOf(absl::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

void KeyBook::Put(const Digest& digest, Key key) {
  MutexLock lock(mutex_);
  keys_[digest] = std::move(key);
}

void KeyBook::Forget(const Digest& digest) {
  MutexLock lock(mutex_);
  keys_.erase(digest);
}

std::optional<KeyBook::Key> KeyBook::Find(const Digest& digest) const {
  MutexLock lock(mutex_);
  const auto found = keys_.find(digest);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

std::optional<KeyBook::Key> KeyBook::Use(const Digest& digest) {
  MutexLock lock(mutex_);
  const auto found = keys_.find(digest);
  if (found == keys_.end()) return std::nullopt;
  if (!found->second.revoked) found->second.last_used = clock_.Now();
  return found->second;
}

AccessKeys::AccessKeys(absl::Span<const std::string> keys, KeyBook* book) : book_(book) {
  for (const std::string& key : keys) {
    file_keys_.push_back({KeyBook::DigestOf(key), absl::StartsWith(key, kReadOnlyPrefix)
                                                      ? KeyAccess::kRead
                                                      : KeyAccess::kFull});
  }
}

KeyAccess AccessKeys::OfKey(absl::string_view key, absl::string_view peer) const {
  // The hash of 128 random bits tells a clock nothing, but keys of the file are people's.
  const KeyBook::Digest digest = KeyBook::DigestOf(key);
  KeyAccess access = KeyAccess::kNone;
  for (const FileKey& known : file_keys_) {
    if (CRYPTO_memcmp(digest.data(), known.digest.data(), digest.size()) == 0) {
      access = std::max(access, known.access);
    }
  }
  if (access != KeyAccess::kNone || book_ == nullptr) return access;
  const std::optional<KeyBook::Key> known = book_->Use(digest);
  if (known.has_value() && !known->revoked) return known->access;
  book_->Refuse(known.has_value() ? "key_revoked" : "key_unknown",
                known.has_value() ? known->name : "", peer);
  return KeyAccess::kNone;
}

KeyAccess AccessKeys::Of(const HttpRequest& request) const {
  KeyAccess access = KeyAccess::kNone;
  for (const absl::string_view key : KeysOf(request)) {
    access = std::max(access, OfKey(key, request.peer));
  }
  return access;
}

bool AccessKeys::AllowsChange(const HttpRequest& request) const {
  const KeyAccess access = Of(request);
  if (access == KeyAccess::kRead && book_ != nullptr) {
    book_->Refuse("key_read_only", "", request.peer);
  }
  return access == KeyAccess::kFull;
}

std::string AccessKeys::Holder(const HttpRequest& request) const {
  for (const absl::string_view key : KeysOf(request)) {
    const KeyBook::Digest digest = KeyBook::DigestOf(key);
    const bool in_file = std::any_of(file_keys_.begin(), file_keys_.end(),
                                     [&](const FileKey& known) { return known.digest == digest; });
    if (!in_file && (book_ == nullptr || !book_->Find(digest).has_value())) continue;
    return absl::StrCat("key ", absl::BytesToHexString(absl::string_view(
                                    reinterpret_cast<const char*>(digest.data()), 8)));
  }
  return request.peer;
}

}  // namespace fleet::collector
