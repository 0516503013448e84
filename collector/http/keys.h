#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/http/http.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// What a key lets its holder do: nothing, look, or look and change.
enum class KeyAccess { kNone, kRead, kFull };

/// A read-only key starts so, as updown's do.
inline constexpr absl::string_view kReadOnlyPrefix = "ro-";

/// The keys that were made with `fleetctl key`, in memory; only hashes of them. Thread-safe.
class KeyBook {
 public:
  using Digest = std::array<unsigned char, 32>;
  static Digest DigestOf(absl::string_view key);

  struct Key {
    std::string name;
    KeyAccess access = KeyAccess::kNone;
    bool revoked = false;
    absl::Time last_used = absl::InfinitePast();
  };
  /// What was wrong with a key ("key_unknown", "key_revoked", "key_read_only"), its name when it is
  /// known, and who sent it. Called by the server's threads; must not block.
  using Refused =
      std::function<void(absl::string_view reason, absl::string_view name, absl::string_view peer)>;

  explicit KeyBook(Clock& clock) : clock_(clock) {}

  /// Before traffic.
  void OnRefused(Refused refused) { refused_ = std::move(refused); }
  void Put(const Digest& digest, Key key);
  void Forget(const Digest& digest);
  std::optional<Key> Find(const Digest& digest) const;
  /// As Find, and notes that it was used now.
  std::optional<Key> Use(const Digest& digest);
  void Refuse(absl::string_view reason, absl::string_view name, absl::string_view peer) const {
    if (refused_) refused_(reason, name, peer);
  }

 private:
  Clock& clock_;
  Refused refused_;
  mutable Mutex mutex_;
  absl::flat_hash_map<Digest, Key> keys_ ABSL_GUARDED_BY(mutex_);
};

/// The one place that says what a request may: by a key in X-API-KEY, in ?api-key= or as
/// Authorization: Bearer. Cheap to copy, as far as the keys of the file are few. Thread-safe.
class AccessKeys {
 public:
  /// `keys`: those of http.keys_file, full unless they start with "ro-". `book`, which must outlive
  /// this, holds the others; null: there are none.
  explicit AccessKeys(absl::Span<const std::string> keys, KeyBook* book = nullptr);

  /// What the request may. A key that is unknown or revoked is told to the book's Refused; of
  /// several keys the one that may most counts.
  KeyAccess Of(const HttpRequest& request) const;
  /// Whether it may look.
  bool Allows(const HttpRequest& request) const { return Of(request) != KeyAccess::kNone; }
  /// Whether it may change something; a key that may only look is told to Refused.
  bool AllowsChange(const HttpRequest& request) const;

  /// Who asks, for limits: the key's digest, shortened, or without a good one the peer's address.
  std::string Holder(const HttpRequest& request) const;

 private:
  struct FileKey {
    KeyBook::Digest digest;
    KeyAccess access;
  };
  KeyAccess OfKey(absl::string_view key, absl::string_view peer) const;

  std::vector<FileKey> file_keys_;
  KeyBook* book_;
};

}  // namespace fleet::collector
