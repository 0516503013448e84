#pragma once

#include "common/probe/probe.h"
#include "common/probe/tls.h"

/// The families of blackbox_exporter 0.23, their types and their help.
namespace fleet::probe {

#define FLEET_PROBE_GAUGE(constant, name, help) \
  inline constexpr MetricDesc constant = {name, MetricType::kGauge, help, true}

FLEET_PROBE_GAUGE(kSuccess, "probe_success", "Displays whether or not the probe was a success");
FLEET_PROBE_GAUGE(kDuration, "probe_duration_seconds",
                  "Returns how long the probe took to complete in seconds");
FLEET_PROBE_GAUGE(kLookup, "probe_dns_lookup_time_seconds",
                  "Returns the time taken for probe dns lookup in seconds");
FLEET_PROBE_GAUGE(kIpProtocol, "probe_ip_protocol",
                  "Specifies whether probe ip protocol is IP4 or IP6");
FLEET_PROBE_GAUGE(kIpHash, "probe_ip_addr_hash",
                  "Specifies the hash of IP address. It's useful to detect if the IP address "
                  "changes.");
FLEET_PROBE_GAUGE(kRegex, "probe_failed_due_to_regex", "Indicates if probe failed due to regex");
FLEET_PROBE_GAUGE(kHttpPhases, "probe_http_duration_seconds",
                  "Duration of http request by phase, summed over all redirects");
FLEET_PROBE_GAUGE(kHttpLength, "probe_http_content_length", "Length of http content response");
FLEET_PROBE_GAUGE(kHttpBody, "probe_http_uncompressed_body_length",
                  "Length of uncompressed response body");
FLEET_PROBE_GAUGE(kHttpRedirects, "probe_http_redirects", "The number of redirects");
FLEET_PROBE_GAUGE(kHttpTls, "probe_http_ssl", "Indicates if SSL was used for the final redirect");
FLEET_PROBE_GAUGE(kHttpStatus, "probe_http_status_code", "Response HTTP status code");
FLEET_PROBE_GAUGE(kHttpVersion, "probe_http_version",
                  "Returns the version of HTTP of the probe response");
FLEET_PROBE_GAUGE(kHttpModified, "probe_http_last_modified_timestamp_seconds",
                  "Returns the Last-Modified HTTP response header in unixtime");
FLEET_PROBE_GAUGE(kTlsExpiry, "probe_ssl_earliest_cert_expiry",
                  "Returns last SSL chain expiry in unixtime");
FLEET_PROBE_GAUGE(kTlsChainExpiry, "probe_ssl_last_chain_expiry_timestamp_seconds",
                  "Returns last SSL chain expiry in timestamp");
FLEET_PROBE_GAUGE(kTlsChain, "probe_ssl_last_chain_info",
                  "Contains SSL leaf certificate information");
FLEET_PROBE_GAUGE(kTlsVersion, "probe_tls_version_info",
                  "Returns the TLS version used or NaN when unknown");
FLEET_PROBE_GAUGE(kIcmpPhases, "probe_icmp_duration_seconds", "Duration of icmp request by phase");
FLEET_PROBE_GAUGE(kIcmpHops, "probe_icmp_reply_hop_limit",
                  "Replied packet hop limit (TTL for ipv4)");
FLEET_PROBE_GAUGE(kDnsPhases, "probe_dns_duration_seconds", "Duration of DNS request by phase");
FLEET_PROBE_GAUGE(kDnsAnswers, "probe_dns_answer_rrs",
                  "Returns number of entries in the answer resource record list");
FLEET_PROBE_GAUGE(kDnsAuthorities, "probe_dns_authority_rrs",
                  "Returns number of entries in the authority resource record list");
FLEET_PROBE_GAUGE(kDnsAdditionals, "probe_dns_additional_rrs",
                  "Returns number of entries in the additional resource record list");
FLEET_PROBE_GAUGE(kDnsSucceeded, "probe_dns_query_succeeded",
                  "Displays whether or not the query was executed successfully");
FLEET_PROBE_GAUGE(kDnsSerial, "probe_dns_serial", "Returns the serial number of the zone");
// Of a later blackbox_exporter.
FLEET_PROBE_GAUGE(kWebSocketStatus, "probe_websocket_status_code",
                  "Response HTTP status code of the websocket handshake");
FLEET_PROBE_GAUGE(kWebSocketUpgraded, "probe_websocket_connection_upgraded",
                  "Indicates if the connection was upgraded to websocket");

#undef FLEET_PROBE_GAUGE

void AddPhase(const MetricDesc& family, absl::string_view phase, absl::Duration span,
              SampleSet& samples);
/// The probe_ssl_* and probe_tls_* of a handshake that was completed.
void AddTlsSamples(const TlsCapture& capture, SampleSet& samples);
/// The 32-bit FNV-1a of the address' bytes; 0 of anything else.
uint32_t AddressHash(absl::string_view address);

}  // namespace fleet::probe
