#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// A real TSDB that takes remote-write on a free port of 127.0.0.1, with data of its own.
class TsdbServer {
 public:
  enum class Kind {
    kPrometheus,        // takes nothing out of order
    kPrometheusWindow,  // out_of_order_time_window of 30 days
    kShipped,           // dashboards/prometheus/remote-write.yml as it is
    kVictoriaMetrics,
  };
  static bool Installed(Kind kind);
  static absl::string_view Name(Kind kind);

  /// `scraped`: host:port of a collector whose /metrics a kPrometheus scrapes each second.
  explicit TsdbServer(Kind kind, std::string scraped = "");

  /// Starts, or starts again over the same data and port. False when it does not get ready.
  bool Start();
  void Stop();

  std::string write_url() const {
    return absl::StrCat("http://127.0.0.1:", port_, "/api/v1/write");
  }
  /// The value of an instant query with one answer; nothing otherwise.
  std::optional<double> Query(absl::string_view query, absl::Time at) const;
  /// The points of a range query with one answer, as (seconds since 1970, value).
  std::vector<std::pair<double, double>> Range(absl::string_view query, absl::Time from,
                                               absl::Time to, absl::Duration step) const;
  std::string log() const { return ReadFile(dir_ / "log").substr(0, 4000); }

 private:
  std::string Get(absl::string_view target) const;

  const Kind kind_;
  const std::string scraped_;
  TempDir dir_;
  const uint16_t port_ = FreePort();
  std::optional<Process> process_;
};

}  // namespace fleet::test
