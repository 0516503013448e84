#include "collector/key_store.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kSecretBytes = 16;

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE keys(
         id INTEGER PRIMARY KEY,
         name TEXT NOT NULL,
         digest TEXT NOT NULL UNIQUE,
         read_only INTEGER NOT NULL,
         made INTEGER NOT NULL,
         made_by TEXT NOT NULL,
         last_used INTEGER,
         revoked INTEGER);
       CREATE UNIQUE INDEX keys_by_name ON keys(name) WHERE revoked IS NULL;)",
};

std::string ToHex(const KeyBook::Digest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

KeyBook::Digest FromHex(const std::string& hex) {
  const std::string bytes = absl::HexStringToBytes(hex);
  KeyBook::Digest digest = {};
  std::copy_n(bytes.begin(), std::min(bytes.size(), digest.size()), digest.begin());
  return digest;
}

bool IsKeyName(absl::string_view name) {
  if (name.empty() || name.size() > KeyStore::kNameBytesMax) return false;
  return OneLine(name) == name;  // nothing that would have to be escaped
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeyStore>> KeyStore::Open(const std::string& path, KeyBook& book,
                                                         Clock& clock) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  std::unique_ptr<KeyStore> store(new KeyStore(std::move(database), book, clock));
  FLEET_RETURN_IF_ERROR(store->Load());
  store->thread_ =
      std::jthread([raw = store.get()](const std::stop_token& stop) { raw->Run(stop); });
  return store;
}

KeyStore::~KeyStore() {
  thread_ = {};
  MutexLock lock(mutex_);
  NoteUses().IgnoreError();  // nobody is left to be told
}

absl::Status KeyStore::Load() {
  MutexLock lock(mutex_);
  return database_->Query("SELECT name, digest, read_only, last_used, revoked FROM keys", {},
                          [this](const SqlRow& row) {
                            KeyBook::Key key;
                            key.name = row.Text(0);
                            key.access = row.Int(2) != 0 ? KeyAccess::kRead : KeyAccess::kFull;
                            key.last_used = row.Time(3);
                            key.revoked = !row.IsNull(4);
                            book_.Put(FromHex(row.Text(1)), std::move(key));
                          });
}

void KeyStore::Run(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    clock_.WaitUntil(mutex_, wake_, stop, SteadyAfter(clock_.SteadyNow(), kNoteEvery),
                     [] { return false; });
    const absl::Status noted = NoteUses();
    if (!noted.ok()) log::Warning("the use of keys is not noted", {{"error", noted}});
  }
}

absl::Status KeyStore::NoteUses() {
  std::vector<std::pair<std::string, absl::Time>> uses;
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT digest, last_used FROM keys WHERE revoked IS NULL", {}, [&](const SqlRow& row) {
        const std::optional<KeyBook::Key> key = book_.Find(FromHex(row.Text(0)));
        if (!key.has_value() || key->last_used == absl::InfinitePast()) return;
        if (!row.IsNull(1) && row.Time(1) >= key->last_used) return;
        uses.emplace_back(row.Text(0), key->last_used);
      }));
  if (uses.empty()) return absl::OkStatus();
  FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                         Database::Transaction::Begin(*database_));
  for (const auto& [digest, time] : uses) {
    FLEET_RETURN_IF_ERROR(
        database_->Run("UPDATE keys SET last_used = ? WHERE digest = ?", {time, digest}).status());
  }
  return transaction.Commit();
}

absl::StatusOr<std::string> KeyStore::New(absl::string_view name, KeyAccess access,
                                          absl::string_view by) {
  if (!IsKeyName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(name), ": expected a name of 1 to ",
                                                   kNameBytesMax, " printable characters"));
  }
  const bool read_only = access != KeyAccess::kFull;
  const std::string key = absl::StrCat(read_only ? kReadOnlyPrefix : "",
                                       absl::BytesToHexString(SecureRandom(kSecretBytes)));
  const KeyBook::Digest digest = KeyBook::DigestOf(key);
  MutexLock lock(mutex_);
  int64_t count = 0;
  FLEET_RETURN_IF_ERROR(database_->Query("SELECT COUNT(*) FROM keys WHERE revoked IS NULL", {},
                                         [&](const SqlRow& row) { count = row.Int(0); }));
  if (count >= kKeysMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kKeysMax, " keys already; revoke some"));
  }
  const absl::Status made =
      database_
          ->Run("INSERT INTO keys(name, digest, read_only, made, made_by) VALUES(?, ?, ?, ?, ?)",
                {name, ToHex(digest), read_only, clock_.Now(), by})
          .status();
  if (absl::IsAlreadyExists(made)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a key named ", Quote(name), " already; revoke it first"));
  }
  FLEET_RETURN_IF_ERROR(made);
  book_.Put(digest, {std::string(name), read_only ? KeyAccess::kRead : KeyAccess::kFull});
  // What was revoked long ago need not be known any more.
  const absl::Time forget = clock_.Now() - kRevokedMemory;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT digest FROM keys WHERE revoked < ?", {forget},
                       [this](const SqlRow& row) { book_.Forget(FromHex(row.Text(0))); }));
  FLEET_RETURN_IF_ERROR(database_->Run("DELETE FROM keys WHERE revoked < ?", {forget}).status());
  return key;
}

absl::Status KeyStore::Revoke(absl::string_view name) {
  MutexLock lock(mutex_);
  std::string hex;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT digest FROM keys WHERE name = ? AND revoked IS NULL", {name},
                       [&](const SqlRow& row) { hex = row.Text(0); }));
  if (hex.empty()) return absl::NotFoundError(absl::StrCat("there is no key named ", Quote(name)));
  // First in the database: a key that came back after a crash would be worse than an error.
  FLEET_RETURN_IF_ERROR(
      database_->Run("UPDATE keys SET revoked = ? WHERE digest = ?", {clock_.Now(), hex}).status());
  const KeyBook::Digest digest = FromHex(hex);
  std::optional<KeyBook::Key> key = book_.Find(digest);
  if (!key.has_value()) return absl::OkStatus();
  key->revoked = true;
  book_.Put(digest, *std::move(key));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<KeyRecord>> KeyStore::List() {
  MutexLock lock(mutex_);
  FLEET_RETURN_IF_ERROR(NoteUses());
  std::vector<KeyRecord> keys;
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT name, read_only, made, made_by, last_used, revoked FROM keys ORDER BY id", {},
      [&keys](const SqlRow& row) {
        keys.push_back({row.Text(0), row.Int(1) != 0 ? KeyAccess::kRead : KeyAccess::kFull,
                        row.Time(2), row.Text(3), row.Time(4), row.Time(5)});
      }));
  return keys;
}

}  // namespace fleet::collector
