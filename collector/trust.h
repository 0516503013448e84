#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/events.h"
#include "collector/identity.h"
#include "collector/rate_limiter.h"
#include "collector/refusals.h"
#include "collector/server_tls.h"
#include "collector/trust_store.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "fleet/v1/trust.pb.h"

namespace fleet::collector {

/// What it needs of the rest of the collector; all of it must outlive it.
struct TrustParts {
  TrustStore& store;
  Gate& gate;
  Refusals& refusals;
  EventLog& events;
  SelfMetrics& metrics;
  Clock& clock;
  ServerTls* tls = nullptr;  // null: plaintext
  absl::Duration certificate_lifetime;
  /// Whether a host is served, or has history.
  std::function<bool(const std::string&)> knows;
  /// Drops a host from what is served; whether it was there.
  std::function<bool(const std::string&)> forget;
  /// Where agents find this collector; empty: it listens on every address.
  std::string address;
};

/// How hosts and admins get, keep and lose their certificates. Each call waits for the disk: calls
/// of the network are handed to the one thread here by Run. Thread-safe.
class Trust {
 public:
  /// Whose call waits for the thread: an admin's stands behind no member's or stranger's.
  enum class Turn { kAdmin, kMember };

  static constexpr size_t kQueueMax = 256;  // of each Turn
  /// How often the files of certificates are looked at, and what is open for what has expired.
  static constexpr absl::Duration kRefreshEvery = absl::Seconds(2);
  static constexpr absl::Duration kTrimEvery = absl::Hours(24);
  /// Attempts to join: of one address, and of all.
  static constexpr double kJoinsPerMinute = 6;
  static constexpr double kJoinsBurst = 10;
  static constexpr double kJoinsPerSecondOfAll = 50;

  /// Certificates that one member may ask for in the place of its own: one is enough, and what is
  /// asked for again was lost on the way.
  static constexpr double kRenewalsPerHour = 6;  // or per life, where that is shorter
  /// So long before the time at which members ask, for those whose clock is ahead.
  static constexpr absl::Duration kRenewEarly = absl::Hours(48);

  /// What a certificate is good for at least, unless all are made for less.
  static constexpr absl::Duration kLifeMin = absl::Hours(24 * 30);
  /// So long before the end of the fleet's CA it is spoken of.
  static constexpr absl::Duration kCaNoteBefore = absl::Hours(24 * 180);

  explicit Trust(TrustParts parts);
  /// Ends the thread; what waits is answered first.
  ~Trust();

  /// Runs `work` on the thread, an admin's first; false, and counted, when too much waits already.
  bool Run(Turn turn, std::function<void()> work);

  /// Whether somebody at `address` may try to join now; counted and noted if not.
  bool MayJoin(const std::string& address);
  absl::StatusOr<v1::JoinReply> Join(const v1::JoinRequest& request, const std::string& address);
  /// Whether this member may ask for another certificate now. To be asked before its call waits for
  /// the thread. Errors: kFailedPrecondition for a certificate that is good for long yet, and as
  /// long as nothing can be issued; kResourceExhausted, counted and noted, for too many.
  absl::Status MayRenew(const Identity& caller, const std::string& address);
  absl::StatusOr<v1::RenewReply> Renew(const Identity& caller, const std::string& certificate);
  absl::StatusOr<v1::EnrollReply> Enroll(const Identity& caller, const v1::EnrollRequest& request);
  absl::StatusOr<v1::RevokeReply> Revoke(const Identity& caller, const v1::RevokeRequest& request);
  absl::StatusOr<v1::RetireReply> Retire(const Identity& caller, const v1::RetireRequest& request);
  absl::StatusOr<v1::CertificatesReply> Certificates();

  /// Adds a line when the fleet's CA ends soon.
  void AddNotes(std::vector<std::string>& notes) const;

 private:
  using Waiting = std::deque<std::function<void()>>;

  void Work(const std::stop_token& stop);
  void Refresh();
  /// Who issues here now. Errors: kFailedPrecondition without an issuing key, or when that CA is
  /// revoked or too near its end.
  absl::StatusOr<std::shared_ptr<const ServerTls::Current>> Issuing() const;
  /// Whether anybody here has heard of a host. Errors: of the database.
  absl::StatusOr<bool> Knows(const std::string& host) const;
  /// Whether an admin may revoke this serial: not what he and all others stand on.
  absl::Status MayRevoke(const Identity& caller, const std::string& serial) const;
  absl::StatusOr<std::string> Issue(const std::string& public_key, Role role,
                                    const std::string& name) const;
  void Tell(const std::string& kind, const std::string& host, const std::string& subject,
            const std::string& text);

  TrustParts parts_;
  RateLimiter joins_;
  RateLimiter joins_of_all_;
  RateLimiter renewals_;
  SteadyTime trim_at_;

  Mutex mutex_;
  std::condition_variable_any changed_;
  Waiting admins_ ABSL_GUARDED_BY(mutex_);
  Waiting members_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
