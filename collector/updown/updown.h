#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/events.h"
#include "collector/http/keys.h"
#include "collector/http/routes.h"
#include "collector/probes/probes.h"
#include "collector/self_metrics.h"
#include "collector/updown/options.h"
#include "collector/updown/pulses_in.h"
#include "collector/updown/pulses_out.h"
#include "collector/updown/updown_api.h"
#include "collector/updown/updown_store.h"
#include "collector/updown/webhooks.h"
#include "common/clock.h"

namespace fleet::collector {

/// What updown.io's clients know of, put together: the API, webhooks, and pulses in and out.
/// Thread-safe.
class Updown {
 public:
  /// Everything given must outlive it.
  struct Parts {
    Probes& probes;
    EventLog& events;
    AccessKeys keys;
    Clock& clock;
    /// "…/updown.db" below data_dir; empty without one.
    std::function<std::string(absl::string_view name)> path = {};
    /// Whether the collector does its work, for the pulses out.
    std::function<absl::Status()> well = {};
    /// Told who sent a heartbeat with a wrong key.
    std::function<void(const std::string& peer)> refused = {};
  };
  /// Errors: why a database cannot be used.
  static absl::StatusOr<std::unique_ptr<Updown>> Open(const UpdownOptions& options, Parts parts);

  std::vector<Routes::Route> Paths();
  /// Begins to tell recipients and to ping. `address` is where HTTP is listened on.
  void Start(const std::string& address);
  /// Something of a probe has changed. Returns at once.
  void Changed();
  void SetMetrics(SelfMetrics& metrics) const;

 private:
  Updown(const UpdownOptions& options, Parts parts) : options_(options), parts_(std::move(parts)) {}
  HttpResponse ShowDowntime(const HttpRequest& request);

  const UpdownOptions options_;
  const Parts parts_;
  std::unique_ptr<UpdownStore> store_;
  std::unique_ptr<WebhookStore> webhook_store_;
  std::unique_ptr<UpdownApi> api_;
  std::unique_ptr<PulsesIn> pulses_in_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<PulsesOut> pulses_out_;
};

}  // namespace fleet::collector
