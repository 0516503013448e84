#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/database.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Who is told when a check goes down.
struct Recipient {
  std::string id;          // "webhook:1159873859"
  std::string type;        // webhook, slack_compatible, msteams
  std::string name;        // for people; may be empty
  std::string value;       // the URL
  bool selected = true;    // for every check that names nobody
  bool immutable = false;  // collector.yaml has it
  std::string webhook_id;  // 24 hexadecimal digits: what the older /webhooks calls it
};

/// A status page as clients define it; what is shown to people is /status.
struct StatusPage {
  std::string token;  // five of [a-z0-9]
  std::string name;
  std::string description;
  std::string visibility = "public";  // public, protected or private
  std::string access_key;
  std::vector<std::string> checks;  // tokens, in their order
};

/// Recipients and status pages of the updown API: those of collector.yaml in memory, the others in
/// a file. Reading is from memory. Thread-safe. Errors: those of Database.
class UpdownStore {
 public:
  static constexpr size_t kRecipientsMax = 200;
  static constexpr size_t kStatusPagesMax = 200;

  /// Opens or makes the file; an empty path: kept in memory. `configured` are of collector.yaml.
  static absl::StatusOr<std::unique_ptr<UpdownStore>> Open(const std::string& path,
                                                           std::vector<Recipient> configured);

  /// Those of collector.yaml first, then in the order of their making.
  std::vector<Recipient> Recipients() const;
  std::optional<Recipient> FindRecipient(absl::string_view id) const;
  /// Makes `id` and `webhook_id`. Errors: kResourceExhausted beyond kRecipientsMax.
  absl::StatusOr<Recipient> AddRecipient(Recipient recipient);
  /// By either id. Errors: kNotFound; kPermissionDenied for one of collector.yaml.
  absl::Status RemoveRecipient(absl::string_view id);

  std::vector<StatusPage> StatusPages() const;
  std::optional<StatusPage> FindStatusPage(absl::string_view token) const;
  /// Makes a new one when `token` is empty, else replaces it. Errors: kNotFound;
  /// kResourceExhausted beyond kStatusPagesMax.
  absl::StatusOr<StatusPage> SaveStatusPage(StatusPage page);
  absl::Status RemoveStatusPage(absl::string_view token);

 private:
  UpdownStore(std::unique_ptr<Database> database, std::vector<Recipient> configured)
      : configured_(std::move(configured)), database_(std::move(database)) {}
  absl::Status Load();

  const std::vector<Recipient> configured_;
  mutable Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
  std::vector<Recipient> recipients_ ABSL_GUARDED_BY(mutex_);
  std::vector<StatusPage> pages_ ABSL_GUARDED_BY(mutex_);
};

/// The recipient that collector.yaml names: its ids follow from the URL, so that they stay.
Recipient ConfiguredWebhook(absl::string_view type, absl::string_view name, absl::string_view url);

}  // namespace fleet::collector
