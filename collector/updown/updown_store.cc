#include "collector/updown/updown_store.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kPageTokenLength = 5;
constexpr size_t kWebhookIdBytes = 12;

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE recipients(
         number INTEGER PRIMARY KEY,
         id TEXT NOT NULL UNIQUE,
         type TEXT NOT NULL,
         name TEXT NOT NULL,
         value TEXT NOT NULL,
         selected INTEGER NOT NULL,
         webhook_id TEXT NOT NULL UNIQUE);
       CREATE TABLE status_pages(
         number INTEGER PRIMARY KEY,
         token TEXT NOT NULL UNIQUE,
         name TEXT NOT NULL,
         description TEXT NOT NULL,
         visibility TEXT NOT NULL,
         access_key TEXT NOT NULL,
         checks TEXT NOT NULL);)",
};

/// Ten digits, as updown's recipients have.
std::string NumberFrom(absl::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return absl::StrCat(1'000'000'000 + number % 3'000'000'000);
}

std::string RandomToken() {
  constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string token;
  for (const char byte : SecureRandom(kPageTokenLength)) {
    token.push_back(kAlphabet[static_cast<unsigned char>(byte) % 36]);
  }
  return token;
}

absl::Status NoSuchRecipient() { return absl::NotFoundError("Recipient not found"); }
absl::Status NoSuchPage() { return absl::NotFoundError("Status page not found"); }

}  // namespace

Recipient ConfiguredWebhook(absl::string_view type, absl::string_view name, absl::string_view url) {
  Recipient recipient;
  const std::string digest = Sha256(absl::StrCat(type, " ", url));
  recipient.id = absl::StrCat(type, ":", NumberFrom(digest));
  recipient.type = std::string(type);
  recipient.name = std::string(name);
  recipient.value = std::string(url);
  recipient.immutable = true;
  recipient.webhook_id = absl::BytesToHexString(digest.substr(8, kWebhookIdBytes));
  return recipient;
}

absl::StatusOr<std::unique_ptr<UpdownStore>> UpdownStore::Open(const std::string& path,
                                                               std::vector<Recipient> configured) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  std::unique_ptr<UpdownStore> store(new UpdownStore(std::move(database), std::move(configured)));
  FLEET_RETURN_IF_ERROR(store->Load());
  return store;
}

absl::Status UpdownStore::Load() {
  MutexLock lock(mutex_);
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT id, type, name, value, selected, webhook_id FROM recipients ORDER BY number", {},
      [this](const SqlRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        recipients_.push_back({row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Int(4) != 0,
                               false, row.Text(5)});
      }));
  return database_->Query(
      "SELECT token, name, description, visibility, access_key, checks FROM status_pages "
      "ORDER BY number",
      {}, [this](const SqlRow& row) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        pages_.push_back({row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4),
                          absl::StrSplit(row.Text(5), ' ', absl::SkipEmpty())});
      });
}

std::vector<Recipient> UpdownStore::Recipients() const {
  std::vector<Recipient> all = configured_;
  MutexLock lock(mutex_);
  all.insert(all.end(), recipients_.begin(), recipients_.end());
  return all;
}

std::optional<Recipient> UpdownStore::FindRecipient(absl::string_view id) const {
  for (Recipient& recipient : Recipients()) {
    if (recipient.id == id || recipient.webhook_id == id) return std::move(recipient);
  }
  return std::nullopt;
}

absl::StatusOr<Recipient> UpdownStore::AddRecipient(Recipient recipient) {
  recipient.id = absl::StrCat(recipient.type, ":", NumberFrom(SecureRandom(8)));
  recipient.webhook_id = absl::BytesToHexString(SecureRandom(kWebhookIdBytes));
  recipient.immutable = false;
  MutexLock lock(mutex_);
  if (recipients_.size() >= kRecipientsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("There are ", kRecipientsMax, " recipients already"));
  }
  FLEET_RETURN_IF_ERROR(
      database_
          ->Run("INSERT INTO recipients(id, type, name, value, selected, webhook_id) "
                "VALUES(?, ?, ?, ?, ?, ?)",
                {recipient.id, recipient.type, recipient.name, recipient.value, recipient.selected,
                 recipient.webhook_id})
          .status());
  recipients_.push_back(recipient);
  return recipient;
}

absl::Status UpdownStore::RemoveRecipient(absl::string_view id) {
  const auto is = [id](const Recipient& recipient) {
    return recipient.id == id || recipient.webhook_id == id;
  };
  if (absl::c_any_of(configured_, is)) {
    return absl::PermissionDeniedError("This recipient is defined in collector.yaml");
  }
  MutexLock lock(mutex_);
  const auto found = absl::c_find_if(recipients_, is);
  if (found == recipients_.end()) return NoSuchRecipient();
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM recipients WHERE id = ?", {found->id}).status());
  recipients_.erase(found);
  return absl::OkStatus();
}

std::vector<StatusPage> UpdownStore::StatusPages() const {
  MutexLock lock(mutex_);
  return pages_;
}

std::optional<StatusPage> UpdownStore::FindStatusPage(absl::string_view token) const {
  MutexLock lock(mutex_);
  for (const StatusPage& page : pages_) {
    if (page.token == token) return page;
  }
  return std::nullopt;
}

absl::StatusOr<StatusPage> UpdownStore::SaveStatusPage(StatusPage page) {
  const std::string checks = absl::StrJoin(page.checks, " ");
  MutexLock lock(mutex_);
  if (!page.token.empty()) {
    const auto found =
        absl::c_find_if(pages_, [&](const StatusPage& known) { return known.token == page.token; });
    if (found == pages_.end()) return NoSuchPage();
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run(
                "UPDATE status_pages SET name = ?, description = ?, visibility = ?, "
                "access_key = ?, checks = ? WHERE token = ?",
                {page.name, page.description, page.visibility, page.access_key, checks, page.token})
            .status());
    *found = page;
    return page;
  }
  if (pages_.size() >= kStatusPagesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("There are ", kStatusPagesMax, " status pages already"));
  }
  do {
    page.token = RandomToken();
  } while (
      absl::c_any_of(pages_, [&](const StatusPage& known) { return known.token == page.token; }));
  FLEET_RETURN_IF_ERROR(
      database_
          ->Run("INSERT INTO status_pages(token, name, description, visibility, access_key, "
                "checks) VALUES(?, ?, ?, ?, ?, ?)",
                {page.token, page.name, page.description, page.visibility, page.access_key, checks})
          .status());
  pages_.push_back(page);
  return page;
}

absl::Status UpdownStore::RemoveStatusPage(absl::string_view token) {
  MutexLock lock(mutex_);
  const auto found =
      absl::c_find_if(pages_, [&](const StatusPage& page) { return page.token == token; });
  if (found == pages_.end()) return NoSuchPage();
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM status_pages WHERE token = ?", {token}).status());
  pages_.erase(found);
  return absl::OkStatus();
}

}  // namespace fleet::collector
