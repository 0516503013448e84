#include "collector/trust_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kSecretBytes = 16;
constexpr absl::string_view kWhyRetired = "the host was retired";

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE tokens(
         hash TEXT PRIMARY KEY,
         role TEXT NOT NULL,
         name TEXT NOT NULL,
         made_by TEXT NOT NULL,
         expires INTEGER NOT NULL,
         used INTEGER);
       CREATE TABLE certificates(
         serial TEXT PRIMARY KEY,
         role TEXT NOT NULL,
         name TEXT NOT NULL,
         not_before INTEGER,
         not_after INTEGER,
         revoked INTEGER,
         why TEXT NOT NULL DEFAULT '');
       CREATE INDEX certificates_by_name ON certificates(role, name);
       CREATE TABLE retired(
         host TEXT PRIMARY KEY,
         time INTEGER NOT NULL,
         retired_by TEXT NOT NULL);)",
    R"(CREATE TABLE ended(
         role TEXT NOT NULL,
         name TEXT NOT NULL,
         time INTEGER NOT NULL,
         PRIMARY KEY(role, name));)",
};

std::string HashOf(absl::string_view secret) { return absl::BytesToHexString(Sha256(secret)); }

CertificateRecord ToRecord(const SqlRow& row) {
  CertificateRecord record;
  record.serial = row.Text(0);
  record.role = ParseRole(row.Text(1)).value_or(Role::kAgent);
  record.name = row.Text(2);
  record.not_before = row.Time(3);
  record.not_after = row.Time(4);
  record.revoked = row.Time(5);
  record.revoked_why = row.Text(6);
  return record;
}

/// Inside a transaction.
absl::Status Insert(Database& database, const CertificateFacts& facts) {
  return database
      .Run(
          "INSERT OR IGNORE INTO certificates(serial, role, name, not_before, not_after) "
          "VALUES(?, ?, ?, ?, ?)",
          {facts.serial, facts.role.has_value() ? RoleName(*facts.role) : "", facts.name,
           facts.not_before, facts.not_after})
      .status();
}

/// Revokes all of a name that is not revoked yet. What a retirement has revoked is revoked for this
/// reason from now on: taking the retirement back must not restore it. Inside a transaction.
absl::StatusOr<std::vector<std::string>> RevokeAll(Database& database, Role role,
                                                   absl::string_view name, absl::Time now,
                                                   absl::string_view why) {
  std::vector<std::string> serials;
  FLEET_RETURN_IF_ERROR(
      database.Query("SELECT serial FROM certificates WHERE role = ? AND name = ? "
                     "AND (revoked IS NULL OR why = ?) AND not_after >= ?",
                     {RoleName(role), name, kWhyRetired, now},
                     [&](const SqlRow& row) { serials.push_back(row.Text(0)); }));
  for (const std::string& serial : serials) {
    FLEET_RETURN_IF_ERROR(database
                              .Run("UPDATE certificates SET revoked = COALESCE(revoked, ?), "
                                   "why = ? WHERE serial = ?",
                                   {now, why, serial})
                              .status());
  }
  return serials;
}

/// As RevokeAll, and notes that what else was issued before is revoked too. Inside a transaction.
absl::StatusOr<std::vector<std::string>> EndName(Database& database, Role role,
                                                 absl::string_view name, absl::Time now,
                                                 absl::string_view why) {
  // A clock that was set back takes nothing back.
  FLEET_RETURN_IF_ERROR(database
                            .Run("INSERT INTO ended(role, name, time) VALUES(?, ?, ?) "
                                 "ON CONFLICT(role, name) DO UPDATE SET "
                                 "time = MAX(time, excluded.time)",
                                 {RoleName(role), name, now})
                            .status());
  return RevokeAll(database, role, name, now, why);
}

}  // namespace

absl::string_view TokenRefusalName(TokenRefusal refusal) {
  switch (refusal) {
    case TokenRefusal::kUnknown:
      return "token_unknown";
    case TokenRefusal::kUsed:
      return "token_used";
    case TokenRefusal::kExpired:
      return "token_expired";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<TrustStore>> TrustStore::Open(const std::string& path,
                                                             Clock& clock) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  std::unique_ptr<TrustStore> store(new TrustStore(std::move(database), clock));
  FLEET_RETURN_IF_ERROR(store->Load());
  return store;
}

TrustStore::TrustStore(std::unique_ptr<Database> database, Clock& clock)
    : clock_(clock), database_(std::move(database)) {}

absl::Status TrustStore::Load() {
  MutexLock database_lock(database_mutex_);
  absl::flat_hash_set<std::string> revoked;
  absl::flat_hash_set<std::string> retired;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT serial FROM certificates WHERE revoked IS NOT NULL", {},
                       [&](const SqlRow& row) { revoked.insert(row.Text(0)); }));
  FLEET_RETURN_IF_ERROR(database_->Query("SELECT host FROM retired", {},
                                         [&](const SqlRow& row) { retired.insert(row.Text(0)); }));
  decltype(ended_) ended;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT role, name, time FROM ended", {}, [&](const SqlRow& row) {
        const Role role = ParseRole(row.Text(0)).value_or(Role::kAgent);
        ended[{role, row.Text(1)}].time = row.Time(2);
      }));
  for (auto& [holder, end] : ended) {
    FLEET_RETURN_IF_ERROR(database_->Query(
        "SELECT serial FROM certificates WHERE role = ? AND name = ? "
        "AND (revoked IS NULL OR why = ?)",
        {RoleName(holder.first), holder.second, kWhyRetired},
        [&spared = end.spared](const SqlRow& row) { spared.insert(row.Text(0)); }));
  }
  MutexLock lock(mutex_);
  revoked_ = std::move(revoked);
  retired_ = std::move(retired);
  ended_ = std::move(ended);
  return absl::OkStatus();
}

bool TrustStore::IsRevoked(absl::string_view serial) const {
  MutexLock lock(mutex_);
  return revoked_.contains(serial);
}

bool TrustStore::IsEnded(const CertificateFacts& facts) const {
  if (!facts.role.has_value()) return false;
  MutexLock lock(mutex_);
  const auto found = ended_.find({*facts.role, facts.name});
  return found != ended_.end() && facts.not_before + kBackdate <= found->second.time &&
         !found->second.spared.contains(facts.serial);
}

void TrustStore::End(Role role, absl::string_view name, absl::Time now,
                     const std::vector<std::string>& revoked) {
  revoked_.insert(revoked.begin(), revoked.end());
  Ended& ended = ended_[{role, std::string(name)}];
  ended.time = std::max(ended.time, now);
  ended.spared.clear();
}

void TrustStore::Spare(const CertificateFacts& facts) {
  const auto found = ended_.find({facts.role.value_or(Role::kAgent), facts.name});
  if (found != ended_.end()) found->second.spared.insert(facts.serial);
}

bool TrustStore::IsRetired(absl::string_view host) const {
  MutexLock lock(mutex_);
  return retired_.contains(host);
}

std::vector<std::string> TrustStore::RetiredHosts() const {
  MutexLock lock(mutex_);
  return {retired_.begin(), retired_.end()};
}

// ---- tokens ---------------------------------------------------------------------------------

absl::StatusOr<std::string> TrustStore::MakeToken(const TokenGrant& grant, absl::string_view by) {
  std::string secret = SecureRandom(kSecretBytes);
  const absl::Time now = clock_.Now();
  MutexLock lock(database_mutex_);
  int64_t good = 0;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT COUNT(*) FROM tokens WHERE used IS NULL AND expires > ?", {now},
                       [&](const SqlRow& row) { good = row.Int(0); }));
  if (good >= kTokensMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kTokensMax, " tokens wait to be used; they end within ten minutes"));
  }
  FLEET_RETURN_IF_ERROR(
      database_
          ->Run("INSERT INTO tokens(hash, role, name, made_by, expires) VALUES(?, ?, ?, ?, ?)",
                {HashOf(secret), RoleName(grant.role), grant.name, by, now + kTokenLife})
          .status());
  return secret;
}

absl::StatusOr<TrustStore::Redeemed> TrustStore::Redeem(absl::string_view secret, Make make) {
  const std::string hash = HashOf(secret);
  const absl::Time now = clock_.Now();
  Redeemed redeemed;
  std::vector<std::string> revoked;
  CertificateFacts facts;
  {
    MutexLock database_lock(database_mutex_);
    FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                           Database::Transaction::Begin(*database_));
    redeemed.refusal = TokenRefusal::kUnknown;
    FLEET_RETURN_IF_ERROR(database_->Query(
        "SELECT role, name, expires, used FROM tokens WHERE hash = ?", {hash},
        [&](const SqlRow& row) {
          redeemed.grant = {ParseRole(row.Text(0)).value_or(Role::kAgent), row.Text(1)};
          redeemed.refusal.reset();
          if (row.Time(2) <= now) redeemed.refusal = TokenRefusal::kExpired;
          if (!row.IsNull(3)) redeemed.refusal = TokenRefusal::kUsed;
        }));
    if (redeemed.refusal.has_value()) return redeemed;
    FLEET_ASSIGN_OR_RETURN(redeemed.certificate_pem, make(redeemed.grant));
    FLEET_ASSIGN_OR_RETURN(facts, ReadCertificate(redeemed.certificate_pem));
    FLEET_RETURN_IF_ERROR(
        database_->Run("UPDATE tokens SET used = ? WHERE hash = ?", {now, hash}).status());
    FLEET_ASSIGN_OR_RETURN(revoked, EndName(*database_, redeemed.grant.role, redeemed.grant.name,
                                            now, "joined again"));
    FLEET_RETURN_IF_ERROR(Insert(*database_, facts));
    if (redeemed.grant.role == Role::kAgent) {
      FLEET_RETURN_IF_ERROR(
          database_->Run("DELETE FROM retired WHERE host = ?", {redeemed.grant.name}).status());
    }
    FLEET_RETURN_IF_ERROR(transaction.Commit());
  }
  MutexLock lock(mutex_);
  End(redeemed.grant.role, redeemed.grant.name, now, revoked);
  Spare(facts);
  if (redeemed.grant.role == Role::kAgent) retired_.erase(redeemed.grant.name);
  return redeemed;
}

// ---- certificates ---------------------------------------------------------------------------

absl::Status TrustStore::RecordIssued(const CertificateFacts& facts) {
  MutexLock database_lock(database_mutex_);
  FLEET_RETURN_IF_ERROR(Insert(*database_, facts));
  MutexLock lock(mutex_);
  Spare(facts);
  return absl::OkStatus();
}

absl::Status TrustStore::RecordSeen(const CertificateFacts& facts) {
  MutexLock lock(database_mutex_);
  // What is known as good is spared.
  return IsEnded(facts) ? absl::OkStatus() : Insert(*database_, facts);
}

absl::StatusOr<std::vector<std::string>> TrustStore::RevokeName(Role role, absl::string_view name,
                                                                absl::string_view why) {
  std::vector<std::string> serials;
  const absl::Time now = clock_.Now();
  {
    MutexLock database_lock(database_mutex_);
    FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                           Database::Transaction::Begin(*database_));
    FLEET_ASSIGN_OR_RETURN(serials, EndName(*database_, role, name, now, why));
    FLEET_RETURN_IF_ERROR(transaction.Commit());
  }
  MutexLock lock(mutex_);
  End(role, name, now, serials);
  return serials;
}

absl::StatusOr<std::optional<CertificateRecord>> TrustStore::RevokeSerial(absl::string_view serial,
                                                                          absl::string_view why) {
  std::optional<CertificateRecord> record;
  {
    MutexLock database_lock(database_mutex_);
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run("INSERT INTO certificates(serial, role, name, revoked, why) "
                  "VALUES(?1, '', '', ?2, ?3) ON CONFLICT(serial) DO UPDATE SET "
                  "revoked = COALESCE(revoked, ?2), why = CASE WHEN revoked IS NULL OR why = ?4 "
                  "THEN ?3 ELSE why END",
                  {serial, clock_.Now(), why, kWhyRetired})
            .status());
    FLEET_RETURN_IF_ERROR(database_->Query(
        "SELECT serial, role, name, not_before, not_after, revoked, why FROM certificates "
        "WHERE serial = ? AND role != ''",
        {serial}, [&](const SqlRow& row) { record = ToRecord(row); }));
  }
  MutexLock lock(mutex_);
  revoked_.emplace(serial);
  return record;
}

absl::StatusOr<std::vector<CertificateRecord>> TrustStore::Certificates() {
  std::vector<CertificateRecord> records;
  MutexLock lock(database_mutex_);
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT serial, role, name, not_before, not_after, revoked, why FROM "
      // In one pass: a member may have had thousands.
      "(SELECT *, MAX(not_after) OVER (PARTITION BY role, name) AS newest FROM certificates) "
      "WHERE (revoked IS NOT NULL AND COALESCE(not_after, ?1) >= ?1) OR not_after = newest "
      "ORDER BY role, name, not_after, serial",
      {clock_.Now()}, [&](const SqlRow& row) { records.push_back(ToRecord(row)); }));
  return records;
}

absl::Status TrustStore::Trim() {
  const absl::Time now = clock_.Now();
  MutexLock lock(database_mutex_);
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM tokens WHERE expires < ?", {now - kTokenMemory}).status());
  // A revoked one that is over is refused for that; the serials in memory stay until a restart.
  return database_->Run("DELETE FROM certificates WHERE not_after < ?", {now - kCertificateMemory})
      .status();
}

// ---- retired hosts --------------------------------------------------------------------------

absl::Status TrustStore::Retire(absl::string_view host, absl::string_view by) {
  std::vector<std::string> revoked;
  {
    MutexLock database_lock(database_mutex_);
    FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                           Database::Transaction::Begin(*database_));
    const absl::Time now = clock_.Now();
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run("INSERT OR IGNORE INTO retired(host, time, retired_by) VALUES(?, ?, ?)",
                  {host, now, by})
            .status());
    FLEET_ASSIGN_OR_RETURN(revoked, RevokeAll(*database_, Role::kAgent, host, now, kWhyRetired));
    // Nor does a token that was made before let it in again.
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run("UPDATE tokens SET expires = ? WHERE role = 'agent' AND name = ? AND "
                  "used IS NULL AND expires > ?",
                  {now, host, now})
            .status());
    FLEET_RETURN_IF_ERROR(transaction.Commit());
  }
  MutexLock lock(mutex_);
  retired_.emplace(host);
  revoked_.insert(revoked.begin(), revoked.end());
  return absl::OkStatus();
}

absl::Status TrustStore::Unretire(absl::string_view host) {
  std::vector<std::string> restored;
  {
    MutexLock database_lock(database_mutex_);
    FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                           Database::Transaction::Begin(*database_));
    absl::Time since = absl::InfinitePast();
    FLEET_RETURN_IF_ERROR(database_->Query("SELECT time FROM retired WHERE host = ?", {host},
                                           [&](const SqlRow& row) { since = row.Time(0); }));
    if (since == absl::InfinitePast()) {
      return absl::NotFoundError(absl::StrCat(Quote(host), " is not retired"));
    }
    if (clock_.Now() - since > kUndoTime) {
      return absl::FailedPreconditionError(
          absl::StrCat(Quote(host), " was retired more than a day ago: enroll it again"));
    }
    FLEET_RETURN_IF_ERROR(database_->Run("DELETE FROM retired WHERE host = ?", {host}).status());
    // Only those that the retirement itself has revoked.
    FLEET_RETURN_IF_ERROR(database_->Query(
        "SELECT serial FROM certificates WHERE role = 'agent' AND name = ? AND why = ? "
        "AND revoked >= ?",
        {host, kWhyRetired, since}, [&](const SqlRow& row) { restored.push_back(row.Text(0)); }));
    for (const std::string& serial : restored) {
      FLEET_RETURN_IF_ERROR(
          database_
              ->Run("UPDATE certificates SET revoked = NULL, why = '' WHERE serial = ?", {serial})
              .status());
    }
    FLEET_RETURN_IF_ERROR(transaction.Commit());
  }
  MutexLock lock(mutex_);
  retired_.erase(host);
  for (const std::string& serial : restored) revoked_.erase(serial);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::pair<std::string, absl::Time>>> TrustStore::Retired() {
  std::vector<std::pair<std::string, absl::Time>> retired;
  MutexLock lock(database_mutex_);
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT host, time FROM retired ORDER BY host", {},
                       [&](const SqlRow& row) { retired.emplace_back(row.Text(0), row.Time(1)); }));
  return retired;
}

}  // namespace fleet::collector
