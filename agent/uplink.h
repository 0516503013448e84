#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/spool.h"
#include "common/clock.h"

namespace fleet::v1 {
class CollectorMessage;
}

namespace fleet::agent {

struct UplinkOptions {
  std::string collector;  // host:port
  size_t number = 0;      // of that collector in the spool
  bool insecure = false;  // plaintext; the caller made sure that it is loopback
  std::string tls_ca;     // PEM files
  std::string tls_cert;
  std::string tls_key;
  std::string host;  // our name, believed only without TLS
  std::string version;
  absl::Duration interval;
  /// Called by the uplink's thread with the checks that a new live stream lacks.
  std::function<void(const std::vector<std::string>& checks)> refresh;
  /// Called by the uplink's thread with what the collector asks this host to look at; null: it is
  /// no vantage.
  std::function<void(const v1::CollectorMessage& message)> plan;
};

/// Brings what the spool holds to one collector, for ever: live reports on one stream and, while
/// closed segments wait, backlog on a second one of the same channel. One thread on one completion
/// queue, so that a cycle costs one wake-up.
class Uplink {
 public:
  /// A black-holed path is noticed after both, on both lanes.
  static constexpr absl::Duration kKeepaliveTime = absl::Seconds(15);
  static constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);
  /// For TCP and TLS, when thousands of others want the same.
  static constexpr absl::Duration kConnectTimeout = absl::Seconds(15);
  /// After a backlog stream that ended well, before the next.
  static constexpr absl::Duration kBacklogPause = absl::Seconds(1);
  /// How often a pause between attempts is interrupted to see whether there is a new certificate.
  static constexpr absl::Duration kLookForCertificate = absl::Seconds(2);
  /// What is now goes first: after a welcome the past waits for a live report, so long at most.
  static constexpr absl::Duration kLiveFirst = absl::Seconds(1);
  static constexpr absl::Duration kDrainTime = absl::Milliseconds(500);

  /// `spool` and `clock` must outlive it.
  Uplink(UplinkOptions options, Spool& spool, Clock& clock);
  /// Sends what waits and takes the last acks, for kDrainTime at most.
  ~Uplink();

  /// Whether the collector has welcomed the live stream.
  bool connected() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace fleet::agent
