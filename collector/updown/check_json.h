#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "collector/probes/probes.h"
#include "collector/updown/json_text.h"

/// What the updown API says of probes, in exactly its shapes. Pure.
namespace fleet::collector {

/// How a check is shown.
struct CheckShape {
  std::string base_url;  // "https://status.chitter.xyz": where our own links lead
  bool secret = false;   // the pulse URL with its key: only in answers to create and update
  const ProbeMetrics* metrics = nullptr;  // of the last hour; null: not asked for
};

void AppendCheck(const ProbeView& view, const CheckShape& shape, JsonText& json);

/// A metrics object. Without samples there is neither apdex nor timings: a client that compares a
/// null with a number would take it for slow.
void AppendMetrics(const ProbeMetrics& metrics, double apdex_t, const Vantage* host,
                   JsonText& json);

/// `results`: with what the requests before and after saw, which we do not keep: empty lists.
void AppendDowntime(const Downtime& downtime, absl::string_view base_url, bool results,
                    JsonText& json);

/// {"tempo":{"ip":…,"ip6":…,"city":"tempo",…},…}.
std::string NodesJson(const std::vector<Vantage>& vantages);
/// The addresses, IPv6 before IPv4 of the same vantage.
std::string NodeAddressesJson(const std::vector<Vantage>& vantages, bool ipv4, bool ipv6);

}  // namespace fleet::collector
