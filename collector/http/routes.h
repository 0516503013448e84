#pragma once

#include <atomic>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "collector/http/http.h"
#include "collector/http/keys.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/address.h"

namespace fleet::collector {

/// Every path that the collector answers. Thread-safe.
class Routes {
 public:
  /// Everything given must outlive it.
  Routes(const FleetState& state, SelfMetrics& metrics, AccessKeys keys)
      : state_(state), metrics_(metrics), keys_(std::move(keys)) {}

  HttpResponse Answer(const HttpRequest& request) const;

  /// Where HTTP is listened on: what /sd/hosts names when the request does not.
  void set_address(const Address& address) { address_ = address; }
  /// Whether /-/ready says so.
  void set_ready(bool ready) { ready_ = ready; }

  struct Route {
    absl::string_view pattern;  // '*' stands for one segment
    absl::string_view help;     // what the index says; empty: not listed
    HttpResponse (Routes::*answer)(const HttpRequest&) const;
  };
  static absl::Span<const Route> Table();

 private:
  HttpResponse Index(const HttpRequest& request) const;
  HttpResponse Metrics(const HttpRequest& request) const;
  HttpResponse HostMetrics(const HttpRequest& request) const;
  HttpResponse SelfMetricsText(const HttpRequest& request) const;
  HttpResponse SdHosts(const HttpRequest& request) const;
  HttpResponse Health(const HttpRequest& request) const;
  HttpResponse Healthy(const HttpRequest& request) const;
  HttpResponse Ready(const HttpRequest& request) const;

  HttpResponse Exposed(const HttpRequest& request, FleetView view) const;

  const FleetState& state_;
  SelfMetrics& metrics_;
  const AccessKeys keys_;
  Address address_;
  std::atomic<bool> ready_ = false;
};

}  // namespace fleet::collector
