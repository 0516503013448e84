#pragma once

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "collector/probes/probes.h"
#include "fleet/v1/probe_store.pb.h"

namespace fleet::collector {

/// What is remembered of the certificate that a probe's server shows.
struct CertificateMemory {
  std::optional<probe::TlsFacts> facts;  // the newest that was told of
  absl::Time tested_at = absl::InfinitePast();
  bool decided = false;  // whether `invalid` was ever known
  bool invalid = false;
  int other_looks = 0;  // in a row that say otherwise
  int days_said = 0;    // the least of the ends that were told; 0: none
};

/// Two looks in a row make a certificate (in)valid.
inline constexpr int kCertificateLooks = 2;

/// What `facts`, seen at `now`, are news of: check.ssl_invalid, ssl_valid, ssl_renewed,
/// ssl_expiration; only `kind`, `time`, `certificate`, `old_certificate`, `ssl_error` and
/// `days_before_expiration` are set. A server that shows now one, now another certificate, as large
/// ones do, is renewed only when a younger one appears. `days`: when its end is told; empty: 30,
/// 14, 7 and 1, as far as that is in its last third. Pure.
std::vector<ProbeEvent> WatchCertificate(const probe::TlsFacts& facts, absl::Time now,
                                         const std::vector<int>& days, CertificateMemory& memory);

v1::StoredTls ToStored(const CertificateMemory& memory);
CertificateMemory FromStored(const v1::StoredTls& stored);

}  // namespace fleet::collector
