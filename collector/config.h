#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/probes/probes.h"
#include "collector/remote_write/options.h"
#include "collector/updown/options.h"
#include "collector/web/options.h"
#include "collector/web/publish_options.h"
#include "common/address.h"
#include "common/config_loader.h"
#include "common/x509_issue.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// What the command line says over collector.yaml.
struct ConfigOverrides {
  bool insecure = false;
  std::string grpc_listen;
  std::string http_listen;
};

/// The texts of tls.{ca,cert,key}, PEM.
struct TlsTexts {
  std::string ca;
  std::string cert;
  std::string key;
};

/// Where they come from; empty in a test that has only texts. A file that changes is read again.
struct TrustPaths {
  std::string ca;
  std::string cert;
  std::string key;
  std::string issuer_cert;
  std::string issuer_key;
};

/// Whom the collector believes, who it is, and whom it signs.
struct TrustOptions {
  TlsTexts tls;
  std::optional<Issuer> issuer;  // none: it cannot enroll or renew anybody
  TrustPaths paths;
  absl::Duration certificate_lifetime = absl::Hours(24 * 90);
};

/// How many connections are let in. Reaching one is counted and noted in the status.
struct ConnectionOptions {
  size_t total = 25'000;
  size_t per_address = 256;
  double handshakes_per_second = 25;  // per address
  double handshakes_burst = 250;
  uint64_t unread_bytes = 32 << 20;  // of one that were received and are no whole message yet
};

/// How much of the reports is kept, and how fast it is written.
struct JournalLimits {
  absl::Duration max_age = absl::Hours(24 * 30);
  uint64_t max_bytes = uint64_t{4} << 30;
  absl::Duration group_interval = absl::Milliseconds(200);
};

/// What one start of the collector works with.
struct CollectorOptions {
  Address grpc{"127.0.0.1", 10235};
  Address http{"127.0.0.1", 10236};
  std::string data_dir;               // empty: nothing outlives a restart
  std::optional<TrustOptions> trust;  // none: plaintext, on loopback
  ConnectionOptions connections;
  std::vector<std::string> keys;  // that show reasons over HTTP
  std::string job = "fleet";
  std::map<std::string, v1::HostConfig> hosts;
  size_t hosts_max = 20'000;
  size_t series_per_host_max = 20'000;
  size_t message_bytes_max = 4 << 20;
  double reports_per_second_max = 100;  // per host
  size_t http_connections_max = 200;
  std::vector<ReceiverOptions> remote_write;
  UpdownOptions updown;
  StatusPageOptions status_page;
  std::vector<PublishOptions> publish;
  std::vector<ProbeCheck> probes;
  std::map<std::string, probe::Spec> probe_modules;  // of /probe, without target
  bool probe_any_target = false;                     // for /probe; else only those of `probes`
  JournalLimits journal;
};

/// Reads collector.yaml (`path`; empty: none) and the files it names, with `overrides` on top.
/// Every problem goes to `loader`; without one the options are complete.
CollectorOptions LoadCollectorOptions(const std::string& path, const ConfigOverrides& overrides,
                                      ConfigLoader& loader);

/// Whether `text` names what a host or check may depend on: "host", "host/check" or
/// "host/check/item".
bool IsParent(absl::string_view text);

}  // namespace fleet::collector
