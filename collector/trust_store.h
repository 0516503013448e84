#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/x509.h"

namespace fleet::collector {

/// A certificate that we issued, or that somebody has shown us.
struct CertificateRecord {
  std::string serial;
  Role role = Role::kAgent;
  std::string name;
  absl::Time not_before;
  absl::Time not_after;
  absl::Time revoked = absl::InfinitePast();  // InfinitePast: it is not
  std::string revoked_why;
};

/// Why a token lets nobody in. The word is the `reason` of counters and events.
enum class TokenRefusal { kUnknown, kUsed, kExpired };
/// "token_unknown", "token_used", "token_expired".
absl::string_view TokenRefusalName(TokenRefusal refusal);

/// What a token is good for.
struct TokenGrant {
  Role role = Role::kAgent;
  std::string name;
};

/// Tokens, certificates, revocations and retired hosts, durable: what is said here holds after any
/// crash. Thread-safe. IsRevoked, IsEnded and IsRetired answer from memory; everything else waits
/// for the disk, and has the errors of Database.
class TrustStore {
 public:
  static constexpr absl::Duration kTokenLife = absl::Minutes(10);
  /// Unused tokens that are still good.
  static constexpr int64_t kTokensMax = 1000;
  /// How long a retirement can be undone.
  static constexpr absl::Duration kUndoTime = absl::Hours(24);
  /// How long it is remembered why a token is no longer good, and who had a certificate that ended.
  static constexpr absl::Duration kTokenMemory = absl::Hours(24 * 7);
  static constexpr absl::Duration kCertificateMemory = absl::Hours(24 * 90);

  /// Opens or makes the file; an empty path: kept in memory. `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<TrustStore>> Open(const std::string& path, Clock& clock);

  bool IsRevoked(absl::string_view serial) const;
  /// Whether a certificate was issued to its holder before all that it had were revoked. Those that
  /// nobody here has ever seen count as well; of its own, whatever the clock was, the store knows
  /// better.
  bool IsEnded(const CertificateFacts& facts) const;
  /// The registry of retired hosts: whoever serves or watches hosts asks here.
  bool IsRetired(absl::string_view host) const;
  std::vector<std::string> RetiredHosts() const;

  /// Makes a one-time token for `grant` and returns its secret, of which only a hash is kept. `by`
  /// is who asked. Errors: kResourceExhausted beyond kTokensMax.
  absl::StatusOr<std::string> MakeToken(const TokenGrant& grant, absl::string_view by);

  /// What comes of a token: a refusal, or what `make` returned, which is also recorded. The token
  /// is used up, its holder's earlier certificates are revoked and a retirement ends, all of it or,
  /// on an error, nothing.
  struct Redeemed {
    std::optional<TokenRefusal> refusal;
    TokenGrant grant;  // also of a refused token, when it is known
    std::string certificate_pem;
  };
  using Make = absl::FunctionRef<absl::StatusOr<std::string>(const TokenGrant&)>;
  absl::StatusOr<Redeemed> Redeem(absl::string_view secret, Make make);

  /// Notes a certificate that we issued now, or have seen; nothing changes when it is known.
  absl::Status RecordIssued(const CertificateFacts& facts);
  absl::Status RecordSeen(const CertificateFacts& facts);

  /// Revokes every certificate of a name that was issued until now, for good also those that a
  /// retirement has revoked. Returns the serials of those that are known and not over.
  absl::StatusOr<std::vector<std::string>> RevokeName(Role role, absl::string_view name,
                                                      absl::string_view why);
  /// Revokes one certificate, known or not; for good also one that a retirement has revoked.
  /// Returns what is known of it.
  absl::StatusOr<std::optional<CertificateRecord>> RevokeSerial(absl::string_view serial,
                                                                absl::string_view why);

  /// Retires a host: it and its certificates are refused until it is enrolled again.
  absl::Status Retire(absl::string_view host, absl::string_view by);
  /// Takes a retirement back. Errors: kNotFound when it is not retired; kFailedPrecondition when
  /// that was longer ago than kUndoTime.
  absl::Status Unretire(absl::string_view host);

  /// The newest certificate of each role and name, and every revoked one that is not over; sorted
  /// by role, name and end.
  absl::StatusOr<std::vector<CertificateRecord>> Certificates();
  /// Since when each retired host is so.
  absl::StatusOr<std::vector<std::pair<std::string, absl::Time>>> Retired();

  /// Drops what nobody needs to know any more.
  absl::Status Trim();

 private:
  TrustStore(std::unique_ptr<Database> database, Clock& clock);
  absl::Status Load();

  /// When all that somebody had were revoked, and what is known of them that was not: what came
  /// later.
  struct Ended {
    absl::Time time = absl::InfinitePast();
    absl::flat_hash_set<std::string> spared;  // serials
  };
  void End(Role role, absl::string_view name, absl::Time now,
           const std::vector<std::string>& revoked) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Spare(const CertificateFacts& facts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  Mutex database_mutex_;  // taken before mutex_
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(database_mutex_);

  mutable Mutex mutex_;
  absl::flat_hash_set<std::string> revoked_ ABSL_GUARDED_BY(mutex_);  // serials
  absl::flat_hash_set<std::string> retired_ ABSL_GUARDED_BY(mutex_);  // hosts
  absl::flat_hash_map<std::pair<Role, std::string>, Ended> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
