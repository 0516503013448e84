#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/http/http.h"
#include "collector/http/routes.h"
#include "collector/probes/probes.h"
#include "common/probe/probe.h"

namespace fleet::collector {

/// What /probe may ask. Names of modules are blackbox_exporter's where it has them.
struct ProbeRouteOptions {
  std::map<std::string, probe::Spec> modules;  // beside and instead of the built-in ones; no target
  bool any_target = false;                     // else only those of configured probes
  probe::AddressGuard guard;                   // for targets that are not configured
};

/// The modules that need no configuration, by name, without a target.
std::map<std::string, probe::Spec> BuiltinProbeModules();

/// `/probe?target=&module=&hostname=&debug=`, as blackbox_exporter 0.23 answers it. The answer
/// comes later: no thread of the HTTP server waits for a target. What is sent to a target, method,
/// headers and body, is the module's and never the request's. Thread-safe.
class ProbeRoute {
 public:
  /// At the same time; more are refused with 503.
  static constexpr size_t kProbesMax = 256;
  /// However long Prometheus would wait: the HTTP server allows an answer a minute.
  static constexpr absl::Duration kTimeoutMax = absl::Seconds(50);

  /// Everything given must outlive it; `probes` may be null. `engine` is asked until it ends.
  ProbeRoute(ProbeRouteOptions options, const Probes* probes, probe::Engine& engine);

  /// For Routes::Add.
  std::vector<Routes::Route> routes();

 private:
  HttpResponse Answer(const HttpRequest& request);
  /// The question, or the answer that refuses it.
  struct Question {
    probe::Spec spec;
    std::string module;
    bool debug = false;
  };
  absl::StatusOr<Question> ReadCheck(const HttpRequest& request, absl::string_view name) const;
  absl::StatusOr<Question> ReadTarget(const HttpRequest& request) const;
  absl::StatusOr<Question> Read(const HttpRequest& request) const;
  /// The configured probe whose target this is; null: none.
  std::shared_ptr<const ProbeCheck> Configured(const std::string& target) const;

  const ProbeRouteOptions options_;
  const Probes* const probes_;
  probe::Engine& engine_;
  // Shared with what the engine calls back, which may be after our end.
  const std::shared_ptr<std::atomic<size_t>> running_;
};

/// The samples as text 0.0.4, families sorted by name.
std::string ProbeText(const probe::Result& result);

}  // namespace fleet::collector
