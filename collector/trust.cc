#include "collector/trust.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/escape.h"
#include "common/host_name.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kRequestBytesMax = 16 << 10;
constexpr size_t kSerialDigitsMax = 40;  // 20 bytes, as RFC 5280 allows

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

/// For people: who did it.
std::string By(const Identity& caller) {
  return caller.verified ? absl::StrCat("admin ", caller.name) : "somebody on this machine";
}

/// The role that somebody may be enrolled as.
absl::StatusOr<Role> MemberRole(absl::string_view text) {
  const std::optional<Role> role = ParseRole(text);
  if (role == Role::kAgent || role == Role::kAdmin) return *role;
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), " is neither agent nor admin"));
}

/// The host that an event is about: an admin is none.
std::string HostOf(Role role, const std::string& name) {
  return role == Role::kAgent ? name : std::string();
}

/// The span that so many renewals are allowed in.
absl::Duration LimitedBy(absl::Duration lifetime) {
  const bool shorter = lifetime > absl::ZeroDuration() && lifetime < absl::Hours(1);
  return shorter ? lifetime : absl::Hours(1);
}

std::string CaEnd(const ServerTls::Current& tls) {
  return absl::StrCat("the fleet's ", tls.root_ends_first ? "root" : "CA", " ends on ",
                      absl::FormatTime("%Y-%m-%d", tls.issuer_end, absl::UTCTimeZone()),
                      ", and every certificate with it: make another (fleetctl ca ",
                      tls.root_ends_first ? "init" : "issuing", "; Rotate in operating.md)");
}

}  // namespace

Trust::Trust(TrustParts parts)
    : parts_(std::move(parts)),
      joins_(kJoinsPerMinute / 60, kJoinsBurst, parts_.clock),
      joins_of_all_(kJoinsPerSecondOfAll, kJoinsPerSecondOfAll, parts_.clock),
      renewals_(kRenewalsPerHour / absl::ToDoubleSeconds(LimitedBy(parts_.certificate_lifetime)),
                kRenewalsPerHour, parts_.clock),
      trim_at_(parts_.clock.SteadyNow()) {
  if (parts_.tls != nullptr) {
    parts_.gate.SetAnchors(*parts_.tls->current()->anchors);
    parts_.gate.SetSeen([this](const CertificateFacts& facts) {
      return Run(facts.role == Role::kAdmin ? Turn::kAdmin : Turn::kMember, [this, facts] {
        const absl::Status recorded = parts_.store.RecordSeen(facts);
        if (!recorded.ok()) log::Warning("a certificate is not noted", {{"error", recorded}});
      });
    });
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Work(stop); });
}

Trust::~Trust() = default;

bool Trust::Run(Turn turn, std::function<void()> work) {
  {
    MutexLock lock(mutex_);
    Waiting& waiting = turn == Turn::kAdmin ? admins_ : members_;
    if (waiting.size() >= kQueueMax) {
      parts_.metrics.Count(self::kRejected, {{"reason", "trust_calls"}});
      return false;
    }
    waiting.push_back(std::move(work));
  }
  changed_.notify_all();
  return true;
}

void Trust::Work(const std::stop_token& stop) {
  SteadyTime refresh_at = SteadyAfter(parts_.clock.SteadyNow(), kRefreshEvery);
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(mutex_);
      parts_.clock.WaitUntil(mutex_, changed_, stop, refresh_at,
                             [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                               return !admins_.empty() || !members_.empty();
                             });
      Waiting& next = admins_.empty() ? members_ : admins_;
      if (!next.empty()) {
        work = std::move(next.front());
        next.pop_front();
      } else if (stop.stop_requested()) {
        return;
      }
    }
    if (work) work();
    if (parts_.clock.SteadyNow() >= refresh_at) {
      Refresh();
      refresh_at = SteadyAfter(parts_.clock.SteadyNow(), kRefreshEvery);
    }
  }
}

void Trust::Refresh() {
  const std::string issuer = parts_.tls == nullptr ? "" : parts_.tls->current()->issuer_serial;
  if (parts_.tls != nullptr && parts_.tls->Refresh()) {
    const auto now = parts_.tls->current();
    parts_.gate.SetAnchors(*now->anchors);
    if (now->issuer_serial != issuer && !issuer.empty()) {
      Tell("issuer", "", now->issuer_serial,
           absl::StrCat("another CA issues now; the former one was ", issuer));
    }
  }
  parts_.gate.CloseUntrusted();
  // A stream that came up just while its host was retired has brought it back.
  for (const std::string& host : parts_.store.RetiredHosts()) parts_.forget(host);
  if (parts_.clock.SteadyNow() < trim_at_) return;
  trim_at_ = SteadyAfter(parts_.clock.SteadyNow(), kTrimEvery);
  std::vector<std::string> notes;
  AddNotes(notes);
  for (const std::string& note : notes) log::Warning(note, {});
  const absl::Status trimmed = parts_.store.Trim();
  if (!trimmed.ok()) log::Warning("the trust database is not trimmed", {{"error", trimmed}});
}

void Trust::Tell(const std::string& kind, const std::string& host, const std::string& subject,
                 const std::string& text) {
  Event event;
  event.time = parts_.clock.Now();
  event.host = host;
  event.subject = subject;
  event.kind = kind;
  event.text = text;
  log::Info(kind, {{"host", host}, {"subject", subject}, {"what", text}});
  parts_.events.Append(std::move(event));
}

void Trust::AddNotes(std::vector<std::string>& notes) const {
  if (parts_.tls == nullptr) return;
  const auto now = parts_.tls->current();
  if (now->issuer_end - parts_.clock.Now() < kCaNoteBefore) notes.push_back(CaEnd(*now));
}

absl::StatusOr<std::shared_ptr<const ServerTls::Current>> Trust::Issuing() const {
  const auto now = parts_.tls == nullptr ? nullptr : parts_.tls->current();
  if (now == nullptr || !now->issuer.has_value()) {
    return absl::FailedPreconditionError(
        "this collector has no issuing key (trust.issuer_cert and issuer_key in collector.yaml)");
  }
  if (parts_.store.IsRevoked(now->issuer_serial)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the issuing CA ", now->issuer_serial,
                     " is revoked: give the collector another one (fleetctl ca issuing)"));
  }
  if (now->issuer_end - parts_.clock.Now() < std::min(kLifeMin, parts_.certificate_lifetime)) {
    return absl::FailedPreconditionError(CaEnd(*now));
  }
  return now;
}

absl::StatusOr<std::string> Trust::Issue(const std::string& public_key, Role role,
                                         const std::string& name) const {
  FLEET_ASSIGN_OR_RETURN(const auto tls, Issuing());
  CertificateSpec spec;
  spec.common_name = spec.name = name;
  spec.role = role;
  const absl::Time now = parts_.clock.Now();
  spec.not_before = now - kBackdate;
  spec.not_after = std::min(now + parts_.certificate_lifetime, tls->issuer_end);
  FLEET_ASSIGN_OR_RETURN(const std::string certificate,
                         IssueCertificate(public_key, spec, *tls->issuer));
  return absl::StrCat(certificate, tls->issuer->certificate_pem);
}

// ---- in -------------------------------------------------------------------------------------

bool Trust::MayJoin(const std::string& address) {
  if (joins_.Allow(address) && joins_of_all_.Allow("")) return true;
  parts_.refusals.Note({"token_rate", "too many attempts to join", "", address});
  return false;
}

absl::StatusOr<v1::JoinReply> Trust::Join(const v1::JoinRequest& request,
                                          const std::string& address) {
  if (request.request().size() > kRequestBytesMax) {
    return absl::InvalidArgumentError("a certificate request too long");
  }
  FLEET_ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOfRequest(request.request()));
  FLEET_ASSIGN_OR_RETURN(const TrustStore::Redeemed redeemed,
                         parts_.store.Redeem(request.token(), [&](const TokenGrant& grant) {
                           return Issue(public_key, grant.role, grant.name);
                         }));
  if (redeemed.refusal.has_value()) {
    RefusedPeer refusal;
    refusal.reason = std::string(TokenRefusalName(*redeemed.refusal));
    refusal.host = HostOf(redeemed.grant.role, redeemed.grant.name);
    refusal.address = address;
    switch (*redeemed.refusal) {
      case TokenRefusal::kUnknown:
        refusal.text = "nobody made this token here";
        break;
      case TokenRefusal::kUsed:
        refusal.text = "the token was used already; if it was not by you, revoke who has joined";
        break;
      case TokenRefusal::kExpired:
        refusal.text = "the token has expired; make a new one with fleetctl enroll";
        break;
    }
    parts_.refusals.Note(refusal);
    return absl::PermissionDeniedError(
        absl::StrCat("refused (", refusal.reason, "): ", refusal.text));
  }
  // What its name did before with another key ends now.
  parts_.gate.CloseUntrusted();
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(redeemed.certificate_pem));
  Tell("joined", HostOf(redeemed.grant.role, redeemed.grant.name), facts.serial,
       absl::StrCat(RoleName(redeemed.grant.role), " ", redeemed.grant.name, " joined from ",
                    address));
  v1::JoinReply reply;
  reply.set_name(redeemed.grant.name);
  reply.set_role(std::string(RoleName(redeemed.grant.role)));
  reply.set_certificate(redeemed.certificate_pem);
  reply.set_ca(parts_.tls->current()->root);
  return reply;
}

absl::Status Trust::MayRenew(const Identity& caller, const std::string& address) {
  if (!caller.verified) return absl::FailedPreconditionError("there is no certificate to renew");
  FLEET_RETURN_IF_ERROR(Issuing().status());
  CertificateFacts until_its_end = caller.check.facts;
  until_its_end.not_after = caller.check.not_after;
  const absl::Time due = RenewalTime(until_its_end, 0) - kRenewEarly;
  if (parts_.clock.Now() < due) {
    return absl::FailedPreconditionError(
        absl::StrCat("the certificate may be renewed from ",
                     absl::FormatTime("%Y-%m-%d", due, absl::UTCTimeZone()),
                     " on; this clock is the collector's"));
  }
  const std::string member = absl::StrCat(RoleName(caller.role), " ", caller.name);
  if (renewals_.Allow(member)) return absl::OkStatus();
  parts_.refusals.Note(
      {"renewal_rate", "too many renewals", HostOf(caller.role, caller.name), address});
  return absl::ResourceExhaustedError("refused (renewal_rate): too many renewals; wait an hour");
}

absl::StatusOr<v1::RenewReply> Trust::Renew(const Identity& caller,
                                            const std::string& certificate) {
  FLEET_ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOfCertificate(certificate));
  FLEET_ASSIGN_OR_RETURN(const std::string renewed, Issue(public_key, caller.role, caller.name));
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(renewed));
  FLEET_RETURN_IF_ERROR(parts_.store.RecordIssued(facts));
  // It was revoked while it waited for the thread: then the new one must not live on.
  for (const std::string& serial : caller.check.serials) {
    if (!parts_.store.IsRevoked(serial) && !parts_.store.IsEnded(caller.check.facts)) continue;
    FLEET_RETURN_IF_ERROR(
        parts_.store.RevokeSerial(facts.serial, "made of a revoked one").status());
    return absl::UnauthenticatedError("refused (revoked): the certificate is revoked");
  }
  Tell("renewed", HostOf(caller.role, caller.name), facts.serial,
       absl::StrCat("the certificate of ", RoleName(caller.role), " ", caller.name,
                    " is renewed until ",
                    absl::FormatTime("%Y-%m-%d", facts.not_after, absl::UTCTimeZone())));
  v1::RenewReply reply;
  reply.set_certificate(renewed);
  return reply;
}

absl::StatusOr<v1::EnrollReply> Trust::Enroll(const Identity& caller,
                                              const v1::EnrollRequest& request) {
  FLEET_ASSIGN_OR_RETURN(const Role role, MemberRole(request.role()));
  FLEET_RETURN_IF_ERROR(CheckMemberName(request.name()));
  FLEET_ASSIGN_OR_RETURN(const auto tls, Issuing());
  FLEET_ASSIGN_OR_RETURN(const std::string secret,
                         parts_.store.MakeToken({role, request.name()}, By(caller)));
  Tell("enrolled", HostOf(role, request.name()), request.name(),
       absl::StrCat(By(caller), " made a token for ", RoleName(role), " ", request.name()));
  v1::EnrollReply reply;
  reply.set_token(secret);
  reply.set_pin(tls->root_fingerprint);
  reply.set_collector(parts_.address);
  reply.set_seconds(absl::ToDoubleSeconds(TrustStore::kTokenLife));
  return reply;
}

// ---- out ------------------------------------------------------------------------------------

absl::Status Trust::MayRevoke(const Identity& caller, const std::string& serial) const {
  if (parts_.tls != nullptr && serial == parts_.tls->current()->issuer_serial) {
    return absl::FailedPreconditionError(
        "that is the CA that issues here now: nobody could come in any more, nor could you. "
        "Give the collector another one first (fleetctl ca issuing)");
  }
  const std::vector<std::string>& chain = caller.check.serials;
  if (chain.size() > 1 && std::find(chain.begin() + 1, chain.end(), serial) != chain.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("that is the CA of your own certificate, ", chain.front(),
                     ". First, on the machine of the collector: fleetctl ca admin ", caller.name));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::RevokeReply> Trust::Revoke(const Identity& caller,
                                              const v1::RevokeRequest& request) {
  const std::string why = absl::StrCat("revoked by ", By(caller));
  v1::RevokeReply reply;
  std::string host;
  if (!request.serial().empty()) {
    const std::string serial = absl::AsciiStrToLower(request.serial());
    if (serial.size() > kSerialDigitsMax || serial.size() % 2 != 0 ||
        serial.find_first_not_of("0123456789abcdef") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(Quote(serial), " is no serial number"));
    }
    FLEET_RETURN_IF_ERROR(MayRevoke(caller, serial));
    FLEET_ASSIGN_OR_RETURN(const std::optional<CertificateRecord> record,
                           parts_.store.RevokeSerial(serial, why));
    reply.add_serials(serial);
    if (record.has_value()) {
      reply.set_name(record->name);
      host = HostOf(record->role, record->name);
    }
  } else {
    FLEET_ASSIGN_OR_RETURN(const Role role, MemberRole(request.role()));
    FLEET_RETURN_IF_ERROR(CheckMemberName(request.name()));
    FLEET_ASSIGN_OR_RETURN(const std::vector<std::string> serials,
                           parts_.store.RevokeName(role, request.name(), why));
    for (const std::string& serial : serials) reply.add_serials(serial);
    reply.set_name(request.name());
    host = HostOf(role, request.name());
  }
  const size_t closed = parts_.gate.CloseUntrusted();
  Tell("revoked", host, absl::StrJoin(reply.serials(), ","),
       absl::StrCat(why, reply.name().empty() ? "" : absl::StrCat(", of ", reply.name()),
                    request.serial().empty() ? ", and whatever else it had" : "", "; ", closed,
                    " open calls closed"));
  return reply;
}

absl::StatusOr<bool> Trust::Knows(const std::string& host) const {
  if (parts_.knows(host)) return true;
  FLEET_ASSIGN_OR_RETURN(const std::vector<CertificateRecord> records, parts_.store.Certificates());
  return std::any_of(records.begin(), records.end(), [&](const CertificateRecord& record) {
    return record.role == Role::kAgent && record.name == host;
  });
}

absl::StatusOr<v1::RetireReply> Trust::Retire(const Identity& caller,
                                              const v1::RetireRequest& request) {
  // Not as of a member: without certificates a name may be longer.
  if (!IsHostName(request.host())) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(request.host()), " is no host's name"));
  }
  v1::RetireReply reply;
  if (request.undo()) {
    FLEET_RETURN_IF_ERROR(parts_.store.Unretire(request.host()));
    reply.set_known(true);
    Tell("restored", request.host(), "", absl::StrCat("taken back in by ", By(caller)));
    return reply;
  }
  FLEET_ASSIGN_OR_RETURN(const bool known, Knows(request.host()));
  if (!known) {
    return absl::NotFoundError(
        absl::StrCat("no host ", request.host(), " is known here; see fleetctl hosts"));
  }
  FLEET_RETURN_IF_ERROR(parts_.store.Retire(request.host(), By(caller)));
  // Its streams first: one that goes on would bring it back.
  parts_.gate.CloseUntrusted();
  reply.set_known(parts_.forget(request.host()));
  Tell("retired", request.host(), "", absl::StrCat("retired by ", By(caller)));
  return reply;
}

absl::StatusOr<v1::CertificatesReply> Trust::Certificates() {
  FLEET_ASSIGN_OR_RETURN(const std::vector<CertificateRecord> records, parts_.store.Certificates());
  FLEET_ASSIGN_OR_RETURN(const auto retired, parts_.store.Retired());
  v1::CertificatesReply reply;
  reply.set_now_seconds(Seconds(parts_.clock.Now()));
  for (const CertificateRecord& record : records) {
    v1::Certificate& certificate = *reply.add_certificates();
    certificate.set_serial(record.serial);
    certificate.set_role(std::string(record.name.empty() ? "" : RoleName(record.role)));
    certificate.set_name(record.name);
    if (record.not_before != absl::InfinitePast()) {
      certificate.set_not_before_seconds(Seconds(record.not_before));
      certificate.set_not_after_seconds(Seconds(record.not_after));
    }
    if (record.revoked == absl::InfinitePast()) continue;
    certificate.set_revoked(true);
    certificate.set_revoked_seconds(Seconds(record.revoked));
    certificate.set_revoked_why(record.revoked_why);
  }
  for (const auto& [host, since] : retired) {
    v1::RetiredHost& out = *reply.add_retired();
    out.set_name(host);
    out.set_since_seconds(Seconds(since));
  }
  return reply;
}

}  // namespace fleet::collector
