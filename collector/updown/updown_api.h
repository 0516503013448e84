#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "collector/http/http.h"
#include "collector/http/keys.h"
#include "collector/http/routes.h"
#include "collector/probes/probes.h"
#include "collector/rate_limiter.h"
#include "collector/updown/check_fields.h"
#include "collector/updown/check_json.h"
#include "collector/updown/updown_store.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// The API of updown.io, as its clients know it, over our probes: what they ask at
/// https://updown.io/api they ask at /api. Thread-safe.
class UpdownApi {
 public:
  /// Downtimes on one page.
  static constexpr size_t kDowntimesPerPage = 100;
  static constexpr size_t kPagesMax = 10'000;
  /// Without `from`, metrics reach back so far; a range without samples takes its figures from the
  /// newest hour within that that has any.
  static constexpr absl::Duration kMetricsSpan = absl::Hours(24 * 30);
  /// Changes that the holder of a key may make.
  static constexpr double kChangesPerSecond = 10;
  static constexpr double kChangesBurst = 200;
  /// A list of all checks is made anew when it is older, or when a check was changed through here:
  /// many may ask for it, and it costs two milliseconds for a thousand.
  static constexpr absl::Duration kListAgeMax = absl::Seconds(1);

  /// Everything given must outlive it.
  struct Parts {
    Probes& probes;
    UpdownStore& store;
    AccessKeys keys;
    Clock& clock;
    CheckRights rights = {};
    /// Where people reach this collector, such as "https://status.chitter.xyz"; empty: as the
    /// request says.
    std::string public_url = {};
    /// Why a URL may not be told of events; empty: it may. Null: every one may.
    std::function<std::string(const std::string& url)> refuse_webhook = {};
  };
  explicit UpdownApi(Parts parts);

  /// What it answers, for Routes::Add.
  std::vector<Routes::Route> MakeRoutes();

 private:
  using Method = HttpResponse (UpdownApi::*)(const HttpRequest&);
  Routes::Route At(const char* pattern, const char* help, Method get, Method post, Method put,
                   Method remove);
  HttpResponse Answer(const HttpRequest& request, Method method, bool change, bool anybody);

  HttpResponse ListChecks(const HttpRequest& request);
  HttpResponse ShowCheck(const HttpRequest& request);
  HttpResponse CreateCheck(const HttpRequest& request);
  HttpResponse UpdateCheck(const HttpRequest& request);
  HttpResponse RemoveCheck(const HttpRequest& request);
  HttpResponse ListDowntimes(const HttpRequest& request);
  HttpResponse ShowMetrics(const HttpRequest& request);
  HttpResponse ListNodes(const HttpRequest& request);
  HttpResponse ListNodeAddresses(const HttpRequest& request);
  HttpResponse ListRecipients(const HttpRequest& request);
  HttpResponse CreateRecipient(const HttpRequest& request);
  HttpResponse RemoveRecipient(const HttpRequest& request);
  HttpResponse ListWebhooks(const HttpRequest& request);
  HttpResponse CreateWebhook(const HttpRequest& request);
  HttpResponse ListStatusPages(const HttpRequest& request);
  HttpResponse CreateStatusPage(const HttpRequest& request);
  HttpResponse UpdateStatusPage(const HttpRequest& request);
  HttpResponse RemoveStatusPage(const HttpRequest& request);

  /// /api/checks as it goes out.
  struct List {
    SteadyTime made;
    std::string base_url;
    std::string body;
    std::string packed;
    std::string tag;
  };
  std::shared_ptr<const List> NewestList(const HttpRequest& request);
  void ForgetList();

  /// The figures of [from, to), or of the newest hour with any when there are none.
  absl::StatusOr<ProbeMetrics> Figures(absl::string_view token, absl::Time from, absl::Time to);
  HttpResponse Save(const HttpRequest& request, StatusPage page, int status);
  HttpResponse AddUrl(const HttpRequest& request, Recipient recipient, bool as_webhook);
  std::string BaseUrl(const HttpRequest& request) const;

  const Parts parts_;
  RateLimiter changes_;
  Mutex list_mutex_;
  std::shared_ptr<const List> list_ ABSL_GUARDED_BY(list_mutex_);
  uint64_t list_changes_ ABSL_GUARDED_BY(list_mutex_) = 0;
};

/// A body, or {"error":…}, as JSON.
HttpResponse JsonAnswer(int status, std::string body);
/// An error of ours as updown's clients expect it: 400, 403, 404, 503 or 500.
HttpResponse JsonError(const absl::Status& status);

}  // namespace fleet::collector
