#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/newcomers.h"
#include "collector/refusals.h"
#include "collector/trust_store.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/x509.h"

namespace fleet::collector {

/// Who is at the other end of a call.
struct Identity {
  bool verified = false;  // false: plaintext on loopback, believed whatever it says
  Role role = Role::kAgent;
  std::string name;  // as the certificate says; empty without one
  PeerCheck check;   // what the certificate said
};

/// What a connection shows of its other end.
struct Peer {
  std::string certificate;  // PEM; empty without one
  std::string chain;        // PEM of what came along
  std::string address;      // empty before the call has reached a handler
  uint16_t port = 0;
};

/// Who may call a method.
enum class Access { kNobody, kAnyone, kAgent, kAdmin, kAgentOrAdmin };

/// By the method's path, "/fleet.v1.Ingest/Upload". What the table does not name is nobody's.
Access AccessOf(absl::string_view path);

/// The one place that decides who may do what: each call passes Admit before any handler runs, and
/// what stays open is asked about again when trust changes. Thread-safe; never waits for the disk.
class Gate {
 public:
  /// Connections whose verification is remembered.
  static constexpr size_t kCacheMax = 20'000;
  /// Ends a call from outside. Called with the gate's lock held: must not call back into it.
  using Close = std::function<void(const absl::Status&)>;
  /// Told of each certificate that is believed and was not seen before; again if it was not taken.
  using Seen = std::function<bool(const CertificateFacts&)>;

  /// Everything given must outlive it. `insecure`: the server speaks plaintext, on loopback, and
  /// believes everybody. Until SetAnchors nobody is believed.
  Gate(TrustStore& store, Refusals& refusals, Newcomers& newcomers, Clock& clock, bool insecure)
      : store_(store),
        refusals_(refusals),
        newcomers_(newcomers),
        clock_(clock),
        insecure_(insecure) {}

  bool insecure() const { return insecure_; }
  Refusals& refusals() { return refusals_; }
  void SetAnchors(TrustAnchors anchors);
  void SetSeen(Seen seen) { seen_ = std::move(seen); }

  /// Whether `peer` may call `path`; a refusal is counted and noted.
  /// Errors: kUnauthenticated for a certificate that is not believed, kPermissionDenied for one
  /// that may not do this; the message says which reason it is.
  absl::StatusOr<Identity> Admit(const Peer& peer, absl::string_view path);

  /// Who `peer` is, for the handler of a call that was admitted.
  absl::StatusOr<Identity> Identify(const Peer& peer);

  /// Holds a place among the open calls for as long as it lives.
  class Ticket {
   public:
    ~Ticket() { gate_.Leave(id_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    friend class Gate;
    Ticket(Gate& gate, uint64_t id) : gate_(gate), id_(id) {}
    Gate& gate_;
    const uint64_t id_;
  };
  /// Enters a call that stays open, of `identity` for the host or admin `name`. From now on `close`
  /// may be called. Errors: the refusal, when trust has ended in the meantime.
  absl::StatusOr<std::unique_ptr<Ticket>> Enter(const Identity& identity, const std::string& name,
                                                Close close);

  /// Closes every open call whose certificate is no longer good or whose host is retired; returns
  /// how many. Called when something was revoked, and now and then for what has expired.
  size_t CloseUntrusted();

 private:
  struct Open {
    Identity identity;
    std::string name;
    Close close;
  };

  /// Everything but the role: chain, dates, revocation, retirement.
  PeerCheck Check(const Peer& peer);
  PeerCheck VerifyChain(const Peer& peer);
  /// What may change while a call is open.
  PeerCheck Recheck(PeerCheck check) const;
  absl::Status Standing(const Identity& identity, const std::string& name) const;
  absl::Status Refuse(const PeerCheck& check, const Peer& peer);
  void Leave(uint64_t id);

  TrustStore& store_;
  Refusals& refusals_;
  Newcomers& newcomers_;
  Clock& clock_;
  const bool insecure_;
  Seen seen_;

  Mutex mutex_;
  std::optional<TrustAnchors> anchors_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, PeerCheck> cache_ ABSL_GUARDED_BY(mutex_);  // by certificate
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;                            // of anchors_

  Mutex calls_mutex_;
  uint64_t next_id_ ABSL_GUARDED_BY(calls_mutex_) = 1;
  absl::flat_hash_map<uint64_t, Open> calls_ ABSL_GUARDED_BY(calls_mutex_);
};

}  // namespace fleet::collector
