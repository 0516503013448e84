#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/report.h"

namespace fleet::agent {

struct UplinkOptions {
  std::string collector;  // host:port
  bool insecure = false;  // plaintext; the caller made sure that it is loopback
  std::string tls_ca;     // PEM files
  std::string tls_cert;
  std::string tls_key;
  std::string host;  // our name, believed only without TLS
  std::string version;
  absl::Duration interval;
  uint64_t epoch = 0;
};

/// Keeps one stream of live reports to one collector open, for ever: one thread on one completion
/// queue, so that a cycle costs one wake-up. Reconnects with growing, jittered pauses. Send may be
/// called by any thread.
class Uplink {
 public:
  static constexpr absl::Duration kBackoffMin = absl::Milliseconds(500);
  static constexpr absl::Duration kBackoffMax = absl::Seconds(30);
  /// A black-holed path is noticed after both.
  static constexpr absl::Duration kKeepaliveTime = absl::Seconds(15);
  static constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);

  Uplink(UplinkOptions options, Clock& clock);
  /// Sends what waits, half a second at most, and ends.
  ~Uplink();

  void Send(std::shared_ptr<const Report> report);
  bool connected() const;
  uint64_t dropped() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace fleet::agent
