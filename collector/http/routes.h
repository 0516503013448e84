#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
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
  Routes(const FleetState& state, SelfMetrics& metrics, AccessKeys keys);

  HttpResponse Answer(const HttpRequest& request) const;

  /// Where HTTP is listened on: what /sd/hosts names when the request does not.
  void set_address(const Address& address) { address_ = address; }
  /// Whether /-/ready says so.
  void set_ready(bool ready) { ready_ = ready; }

  /// What /metrics shows beside the hosts. Before traffic; called by any thread.
  /// Adds the probes to the status of the whole fleet.
  void set_probes(std::function<void(v1::StatusReply&)> probes) { probes_ = std::move(probes); }
  void set_extra(std::function<std::vector<ExtraSeries>()> extra) { extra_ = std::move(extra); }

  /// One path, or a family of them.
  struct Route {
    std::string pattern;  // '*' stands for one segment
    std::string help;     // what the index says; empty: not listed
    std::function<HttpResponse(const HttpRequest&)> answer;
    /// What it takes beside GET and HEAD; anything else is 405.
    std::vector<std::string> methods = {};
  };
  /// Adds the paths of another part of the collector, which must outlive this. Before traffic.
  void Add(std::vector<Route> routes);

 private:
  HttpResponse Index(const HttpRequest& request) const;
  HttpResponse Metrics(const HttpRequest& request) const;
  HttpResponse ProbeMetrics(const HttpRequest& request) const;
  HttpResponse HostMetrics(const HttpRequest& request) const;
  HttpResponse SelfMetricsText(const HttpRequest& request) const;
  HttpResponse SdHosts(const HttpRequest& request) const;
  HttpResponse Health(const HttpRequest& request) const;
  HttpResponse Healthy(const HttpRequest& request) const;
  HttpResponse Ready(const HttpRequest& request) const;

  HttpResponse Exposed(const HttpRequest& request, FleetView view) const;

  std::vector<Route> routes_;
  std::function<std::vector<ExtraSeries>()> extra_;
  const FleetState& state_;
  SelfMetrics& metrics_;
  const AccessKeys keys_;
  /// Of the fleet, with its probes.
  v1::StatusReply WholeStatus() const;

  Address address_;
  std::function<void(v1::StatusReply&)> probes_;
  std::atomic<bool> ready_ = false;
};

}  // namespace fleet::collector
