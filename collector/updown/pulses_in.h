#pragma once

#include <string>
#include <vector>

#include "collector/http/http.h"
#include "collector/http/routes.h"
#include "collector/probes/probes.h"

namespace fleet::collector {

/// Heartbeats of others, for checks of type pulse, under the URLs that their senders know:
///   /pulse/TOKEN/KEY              updown.io; also /start, /fail and /EXITCODE as healthchecks.io
///   /api/push/KEY                 Uptime Kuma: ?status=up|down&msg=…&ping=…
///   /api/v1/endpoints/NAME/external   Gatus: ?success=true|false&error=…, the key as Bearer
/// GET, HEAD and POST alike; nobody needs another key. Thread-safe.
class PulsesIn {
 public:
  static constexpr size_t kMessageBytesMax = 200;  // of what the sender says; the rest is cut

  /// `probes` must outlive it. `refused` is told of each wrong key; must not block.
  using Refused = std::function<void(const std::string& peer)>;
  PulsesIn(Probes& probes, Refused refused) : probes_(probes), refused_(std::move(refused)) {}

  std::vector<Routes::Route> MakeRoutes();

 private:
  HttpResponse Updown(const HttpRequest& request);
  HttpResponse Kuma(const HttpRequest& request);
  HttpResponse Gatus(const HttpRequest& request);
  absl::Status Pulse(const HttpRequest& request, absl::string_view token, absl::string_view key,
                     bool failed, absl::string_view message);
  /// The token of the pulse whose key this is; empty without one.
  std::string TokenOfKey(absl::string_view key) const;

  Probes& probes_;
  const Refused refused_;
};

}  // namespace fleet::collector
