#include "collector/web/announcements.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "collector/web/markdown.h"
#include "common/escape.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kIdBytes = 3;

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE announcements(
         number INTEGER PRIMARY KEY AUTOINCREMENT,
         id TEXT NOT NULL UNIQUE) STRICT;
       CREATE TABLE updates(
         number INTEGER PRIMARY KEY AUTOINCREMENT,
         announcement TEXT NOT NULL REFERENCES announcements(id),
         time INTEGER NOT NULL,
         state INTEGER NOT NULL,
         text TEXT NOT NULL,
         by TEXT NOT NULL) STRICT;
       CREATE INDEX updates_by_announcement ON updates(announcement, number);)",
};

absl::Status CheckText(absl::string_view text, bool may_be_empty) {
  if (absl::StripAsciiWhitespace(text).empty() && !may_be_empty) {
    return absl::InvalidArgumentError("the text is empty");
  }
  if (text.size() > AnnouncementStore::kTextBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the text has ", text.size(),
                                                   " bytes; expected at most ",
                                                   AnnouncementStore::kTextBytesMax));
  }
  for (size_t i = 0; i < text.size();) {
    const size_t size = Utf8SequenceSize(text.substr(i));
    const bool control = size == 1 && absl::ascii_iscntrl(static_cast<unsigned char>(text[i])) &&
                         text[i] != '\n' && text[i] != '\t' && text[i] != '\r';
    if (size == 0 || control) {
      return absl::InvalidArgumentError(absl::StrCat(
          "byte ", i + 1, " of the text is ", size == 0 ? "not UTF-8" : "a control character"));
    }
    i += size;
  }
  return absl::OkStatus();
}

AnnouncementUpdate ToUpdate(const SqlRow& row, int first) {
  AnnouncementUpdate update;
  update.time = row.Time(first);
  update.state = static_cast<AnnouncementState>(std::clamp<int64_t>(row.Int(first + 1), 1, 4));
  update.text = row.Text(first + 2);
  update.by = row.Text(first + 3);
  return update;
}

}  // namespace

absl::string_view AnnouncementStateName(AnnouncementState state) {
  switch (state) {
    case AnnouncementState::kInvestigating:
      return "investigating";
    case AnnouncementState::kIdentified:
      return "identified";
    case AnnouncementState::kMonitoring:
      return "monitoring";
    case AnnouncementState::kResolved:
      return "resolved";
  }
  return "";
}

std::string Announcement::Title() const {
  const std::string words = MarkdownToText(updates.front().text);
  return OneLine(absl::string_view(words).substr(0, words.find('\n')), kTitleBytesMax);
}

absl::StatusOr<std::unique_ptr<AnnouncementStore>> AnnouncementStore::Open(const std::string& path,
                                                                           Clock& clock) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  return std::unique_ptr<AnnouncementStore>(new AnnouncementStore(std::move(database), clock));
}

absl::Status AnnouncementStore::Insert(absl::string_view id, const AnnouncementUpdate& update) {
  return database_
      ->Run("INSERT INTO updates(announcement, time, state, text, by) VALUES(?, ?, ?, ?, ?)",
            {id, update.time, static_cast<int>(update.state), update.text, update.by})
      .status();
}

absl::StatusOr<Announcement> AnnouncementStore::Load(absl::string_view id) {
  Announcement found;
  found.id = std::string(id);
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT time, state, text, by FROM updates WHERE announcement = ? ORDER BY number", {id},
      [&](const SqlRow& row) { found.updates.push_back(ToUpdate(row, 0)); }));
  if (!found.updates.empty()) return found;
  return absl::NotFoundError(
      absl::StrCat("no announcement ", Quote(id), "; fleetctl announce --list shows them"));
}

absl::StatusOr<Announcement> AnnouncementStore::Post(AnnouncementState state,
                                                     absl::string_view text, absl::string_view by) {
  FLEET_RETURN_IF_ERROR(CheckText(text, false));
  const std::string id = absl::BytesToHexString(SecureRandom(kIdBytes));
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(Database::Transaction all, Database::Transaction::Begin(*database_));
  FLEET_RETURN_IF_ERROR(database_->Run("INSERT INTO announcements(id) VALUES(?)", {id}).status());
  FLEET_RETURN_IF_ERROR(Insert(id, {clock_.Now(), state, std::string(text), std::string(by)}));
  constexpr const char* kOld =
      "DELETE FROM updates WHERE announcement IN (SELECT id FROM announcements "
      "ORDER BY number DESC LIMIT -1 OFFSET ?)";
  FLEET_RETURN_IF_ERROR(database_->Run(kOld, {kAnnouncementsMax}).status());
  FLEET_RETURN_IF_ERROR(
      database_
          ->Run("DELETE FROM announcements WHERE number IN (SELECT number FROM announcements "
                "ORDER BY number DESC LIMIT -1 OFFSET ?)",
                {kAnnouncementsMax})
          .status());
  FLEET_ASSIGN_OR_RETURN(Announcement posted, Load(id));
  FLEET_RETURN_IF_ERROR(all.Commit());
  return posted;
}

absl::StatusOr<Announcement> AnnouncementStore::Update(absl::string_view id,
                                                       std::optional<AnnouncementState> state,
                                                       absl::string_view text,
                                                       absl::string_view by) {
  FLEET_RETURN_IF_ERROR(CheckText(text, state.has_value()));
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(Announcement updated, Load(id));
  if (updated.updates.size() >= kUpdatesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("it has ", kUpdatesMax, " updates already; begin a new announcement"));
  }
  AnnouncementUpdate update{clock_.Now(), state.value_or(updated.state()), std::string(text),
                            std::string(by)};
  FLEET_RETURN_IF_ERROR(Insert(id, update));
  updated.updates.push_back(std::move(update));
  return updated;
}

absl::StatusOr<std::vector<Announcement>> AnnouncementStore::List(size_t limit) {
  std::vector<Announcement> found;
  MutexLock lock(mutex_);
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT a.id, u.time, u.state, u.text, u.by FROM updates u JOIN "
      "(SELECT number, id FROM announcements ORDER BY number DESC LIMIT ?) a "
      "ON u.announcement = a.id ORDER BY a.number DESC, u.number",
      {static_cast<int64_t>(std::min<size_t>(limit, kAnnouncementsMax))}, [&](const SqlRow& row) {
        const std::string id = row.Text(0);
        if (found.empty() || found.back().id != id) found.push_back({id, {}});
        found.back().updates.push_back(ToUpdate(row, 1));
      }));
  return found;
}

}  // namespace fleet::collector
