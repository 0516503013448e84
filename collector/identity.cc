#include "collector/identity.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/escape.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

struct MethodAccess {
  absl::string_view path;
  Access access;
};

/// A new method is nobody's until it stands here.
constexpr MethodAccess kMethods[] = {
    {"/fleet.v1.Ingest/Upload", Access::kAgent},  {"/fleet.v1.Fleet/Status", Access::kAdmin},
    {"/fleet.v1.Fleet/Probes", Access::kAdmin},   {"/fleet.v1.Fleet/Downtimes", Access::kAdmin},
    {"/fleet.v1.Trust/Join", Access::kAnyone},    {"/fleet.v1.Trust/Renew", Access::kAgentOrAdmin},
    {"/fleet.v1.History/Series", Access::kAdmin}, {"/fleet.v1.History/StatusAt", Access::kAdmin},
    {"/fleet.v1.History/Events", Access::kAdmin}, {"/fleet.v1.History/Export", Access::kAdmin},
    {"/fleet.v1.Trust/Enroll", Access::kAdmin},   {"/fleet.v1.Trust/Revoke", Access::kAdmin},
    {"/fleet.v1.Trust/Retire", Access::kAdmin},   {"/fleet.v1.Trust/Certificates", Access::kAdmin},
    {"/fleet.v1.Announce/Post", Access::kAdmin},  {"/fleet.v1.Announce/Update", Access::kAdmin},
    {"/fleet.v1.Announce/List", Access::kAdmin},  {"/fleet.v1.Keys/New", Access::kAdmin},
    {"/fleet.v1.Keys/List", Access::kAdmin},      {"/fleet.v1.Keys/Revoke", Access::kAdmin},
};

/// Of the addresses that a refused call may have come from.
constexpr size_t kHostsShown = 3;

bool Fits(Access access, Role role) {
  switch (access) {
    case Access::kNobody:
      return false;
    case Access::kAnyone:
      return true;
    case Access::kAgent:
      return role == Role::kAgent;
    case Access::kAdmin:
      return role == Role::kAdmin;
    case Access::kAgentOrAdmin:
      return role == Role::kAgent || role == Role::kAdmin;
  }
  return false;
}

PeerCheck Distrusted(PeerCheck check, Distrust distrust, std::string text) {
  check.distrust = distrust;
  check.text = std::move(text);
  return check;
}

/// Whether one of our CAs made the certificate that is not trusted.
bool IsOfOurs(Distrust distrust) {
  return distrust != Distrust::kNoCertificate && distrust != Distrust::kMalformed &&
         distrust != Distrust::kUnknownCa;
}

absl::Status ToStatus(const PeerCheck& check) {
  const auto code = check.distrust == Distrust::kWrongRole ? absl::StatusCode::kPermissionDenied
                                                           : absl::StatusCode::kUnauthenticated;
  return absl::Status(code,
                      absl::StrCat("refused (", DistrustName(check.distrust), "): ", check.text));
}

}  // namespace

Access AccessOf(absl::string_view path) {
  for (const MethodAccess& method : kMethods) {
    if (method.path == path) return method.access;
  }
  return Access::kNobody;
}

void Gate::SetAnchors(TrustAnchors anchors) {
  {
    MutexLock lock(mutex_);
    anchors_ = std::move(anchors);
    cache_.clear();
    ++generation_;
  }
}

PeerCheck Gate::VerifyChain(const Peer& peer) {
  std::optional<TrustAnchors> anchors;
  uint64_t generation = 0;
  const std::string key = Sha256(absl::StrCat(peer.certificate, "\n", peer.chain));
  {
    MutexLock lock(mutex_);
    const auto found = cache_.find(key);
    if (found != cache_.end()) return found->second;
    anchors = anchors_;
    generation = generation_;
  }
  if (!anchors.has_value()) {
    return Distrusted({}, Distrust::kUnknownCa, "the collector believes in no CA");
  }
  const PeerCheck check = anchors->Verify(peer.certificate, peer.chain, clock_.Now());
  // What is bad is not remembered: it costs less, and its sender could fill the cache.
  if (!check.ok()) return check;
  MutexLock lock(mutex_);
  if (generation != generation_) return check;
  if (cache_.size() >= kCacheMax) cache_.clear();
  const bool is_new = cache_.emplace(key, check).second;
  // What cannot be taken now is told again with the next call.
  if (is_new && seen_ && !seen_(check.facts)) cache_.erase(key);
  return check;
}

PeerCheck Gate::Recheck(PeerCheck check) const {
  const absl::Time now = clock_.Now();
  const auto date = [](absl::Time time) {
    return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
  };
  if (now > check.not_after) {
    const std::string text = absl::StrCat("the certificate ended on ", date(check.not_after));
    return Distrusted(std::move(check), Distrust::kExpired, text);
  }
  if (now < check.not_before) {
    const std::string text = absl::StrCat("the certificate begins on ", date(check.not_before));
    return Distrusted(std::move(check), Distrust::kNotYetValid, text);
  }
  // Before its certificate, which was revoked with it: this says more.
  if (check.facts.role == Role::kAgent && store_.IsRetired(check.facts.name)) {
    const std::string text =
        absl::StrCat("the host ", check.facts.name, " is retired; enroll it again");
    return Distrusted(std::move(check), Distrust::kRevoked, text);
  }
  for (const std::string& serial : check.serials) {
    if (!store_.IsRevoked(serial)) continue;
    const std::string text = absl::StrCat("the certificate ", serial, " is revoked");
    return Distrusted(std::move(check), Distrust::kRevoked, text);
  }
  if (store_.IsEnded(check.facts)) {
    const std::string text =
        absl::StrCat(RoleName(*check.facts.role), " ", check.facts.name,
                     "'s certificates were revoked after this one was made, by its dates and the "
                     "collector's clock; enroll it again");
    return Distrusted(std::move(check), Distrust::kRevoked, text);
  }
  return check;
}

PeerCheck Gate::Check(const Peer& peer) {
  if (peer.certificate.empty()) {
    return Distrusted({}, Distrust::kNoCertificate, "this needs a certificate");
  }
  PeerCheck check = VerifyChain(peer);
  return check.ok() ? Recheck(std::move(check)) : check;
}

absl::Status Gate::Refuse(const PeerCheck& check, const Peer& peer) {
  RefusedPeer refusal;
  refusal.reason = std::string(DistrustName(check.distrust));
  refusal.text = check.text;
  // Anybody can write any name into a certificate of his own.
  if (IsOfOurs(check.distrust)) {
    refusal.host = check.facts.name;
  } else if (!check.facts.name.empty()) {
    absl::StrAppend(&refusal.text, "; it claims to be ", Quote(check.facts.name));
  }
  refusal.address = peer.address;
  if (refusal.address.empty()) {
    const std::vector<std::string> hosts = newcomers_.Hosts();
    if (hosts.size() == 1) refusal.address = hosts.front();
    if (hosts.size() > 1) {
      absl::StrAppend(
          &refusal.text, "; from one of ",
          absl::StrJoin(absl::MakeSpan(hosts).first(std::min(hosts.size(), kHostsShown)), ", "));
    }
  }
  refusals_.Note(refusal);
  return ToStatus(check);
}

absl::StatusOr<Identity> Gate::Identify(const Peer& peer) {
  if (insecure_) return Identity{};
  PeerCheck check = Check(peer);
  if (!check.ok()) return ToStatus(check);
  newcomers_.Proved(peer.address, peer.port);
  Identity identity;
  identity.verified = true;
  identity.role = *check.facts.role;
  identity.name = check.facts.name;
  identity.check = std::move(check);
  return identity;
}

absl::StatusOr<Identity> Gate::Admit(const Peer& peer, absl::string_view path) {
  const Access access = AccessOf(path);
  if (insecure_ || access == Access::kAnyone) return Identity{};
  PeerCheck check = Check(peer);
  if (check.ok() && !Fits(access, *check.facts.role)) {
    const std::string text =
        absl::StrCat("the certificate is ", RoleName(*check.facts.role), " ", check.facts.name,
                     "'s, which may not call ", path.substr(0, 80));
    check = Distrusted(std::move(check), Distrust::kWrongRole, text);
  }
  if (!check.ok()) return Refuse(check, peer);
  Identity identity;
  identity.verified = true;
  identity.role = *check.facts.role;
  identity.name = check.facts.name;
  identity.check = std::move(check);
  return identity;
}

// ---- open calls -----------------------------------------------------------------------------

absl::Status Gate::Standing(const Identity& identity, const std::string& name) const {
  if (identity.verified) {
    const PeerCheck check = Recheck(identity.check);
    return check.ok() ? absl::OkStatus() : ToStatus(check);
  }
  // Without certificates there is still who was retired.
  if (!name.empty() && store_.IsRetired(name)) {
    return absl::UnauthenticatedError(
        absl::StrCat("refused (revoked): the host ", name, " is retired"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Gate::Ticket>> Gate::Enter(const Identity& identity,
                                                          const std::string& name, Close close) {
  uint64_t id = 0;
  {
    MutexLock lock(calls_mutex_);
    id = next_id_++;
    calls_.emplace(id, Open{identity, name, std::move(close)});
  }
  std::unique_ptr<Ticket> ticket(new Ticket(*this, id));
  // After it has entered: what is revoked from now on finds it there, what was before is seen here.
  const absl::Status standing = Standing(identity, name);
  if (!standing.ok()) return standing;
  return ticket;
}

void Gate::Leave(uint64_t id) {
  MutexLock lock(calls_mutex_);
  calls_.erase(id);
}

size_t Gate::CloseUntrusted() {
  size_t closed = 0;
  MutexLock lock(calls_mutex_);
  for (auto& [id, call] : calls_) {
    const absl::Status standing = Standing(call.identity, call.name);
    if (standing.ok()) continue;
    call.close(standing);
    ++closed;
  }
  return closed;
}

}  // namespace fleet::collector
