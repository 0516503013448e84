#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "collector/remote_write/options.h"
#include "common/address.h"
#include "common/config_loader.h"
#include "fleet/v1/config.pb.h"

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

/// What one start of the collector works with.
struct CollectorOptions {
  Address grpc{"127.0.0.1", 10235};
  Address http{"127.0.0.1", 10236};
  std::optional<TlsTexts> tls;    // none: plaintext, on loopback
  std::vector<std::string> keys;  // that show reasons over HTTP
  std::string job = "fleet";
  std::map<std::string, v1::HostConfig> hosts;
  size_t hosts_max = 20'000;
  size_t series_per_host_max = 20'000;
  size_t message_bytes_max = 4 << 20;
  double reports_per_second_max = 100;  // per host
  size_t http_connections_max = 200;
  std::vector<ReceiverOptions> remote_write;
};

/// Reads collector.yaml (`path`; empty: none) and the files it names, with `overrides` on top.
/// Every problem goes to `loader`; without one the options are complete.
CollectorOptions LoadCollectorOptions(const std::string& path, const ConfigOverrides& overrides,
                                      ConfigLoader& loader);

/// Whether `text` names what a host or check may depend on: "host", "host/check" or
/// "host/check/item".
bool IsParent(absl::string_view text);

}  // namespace fleet::collector
