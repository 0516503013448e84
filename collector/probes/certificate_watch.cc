#include "collector/probes/certificate_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "collector/probes/probe_rows.h"

namespace fleet::collector {
namespace {

constexpr int kDays[] = {30, 14, 7, 1};

ProbeEvent Event(const char* kind, absl::Time now, const probe::TlsFacts& facts) {
  ProbeEvent event;
  event.kind = kind;
  event.time = now;
  event.certificate = facts.certificate;
  return event;
}

/// The least of the days before its end that have come; 0: none.
int DaysDue(const probe::TlsFacts& facts, absl::Time now, const std::vector<int>& days) {
  const absl::Time end = facts.certificate.not_after;
  const absl::Duration life = end - facts.certificate.not_before;
  int due = 0;
  const auto consider = [&](int day, bool always) {
    const absl::Duration left = absl::Hours(24 * day);
    if (now >= end - left && now < end && (always || left < life / 3) && (due == 0 || day < due)) {
      due = day;
    }
  };
  for (const int day : days) consider(day, true);
  if (days.empty()) {
    for (const int day : kDays) consider(day, false);
  }
  return due;
}

/// Whether the certificate counts as a new one, and is noted as such.
bool TakeNew(const probe::TlsFacts& facts, CertificateMemory& memory) {
  if (memory.facts.has_value()) {
    const probe::ServerCertificate& old = memory.facts->certificate;
    if (old.fingerprint == facts.certificate.fingerprint) {
      memory.facts = facts;
      return false;
    }
    if (facts.certificate.not_before <= old.not_before) return false;
  }
  memory.facts = facts;
  memory.days_said = 0;
  return true;
}

}  // namespace

std::vector<ProbeEvent> WatchCertificate(const probe::TlsFacts& facts, absl::Time now,
                                         const std::vector<int>& days, CertificateMemory& memory) {
  std::vector<ProbeEvent> events;
  memory.tested_at = now;
  const bool invalid = facts.verify_error != 0;
  if (memory.decided && invalid == memory.invalid) {
    memory.other_looks = 0;
  } else if (++memory.other_looks >= kCertificateLooks || (!memory.decided && !invalid)) {
    // That the first one is valid is no news.
    if (invalid || memory.decided) {
      ProbeEvent event = Event(invalid ? "check.ssl_invalid" : "check.ssl_valid", now, facts);
      if (invalid) {
        event.ssl_error = absl::StrCat("error code ", facts.verify_error, ": ", facts.verify_text);
      }
      events.push_back(std::move(event));
    }
    memory.decided = true;
    memory.invalid = invalid;
    memory.other_looks = 0;
  }
  const std::optional<probe::TlsFacts> old = memory.facts;
  if (invalid && old.has_value() && old->verify_error == 0) {
    // Not renewed but broken; what was valid stays what a renewal is told against.
    return events;
  }
  if (TakeNew(facts, memory) && old.has_value() && !invalid) {
    ProbeEvent event = Event("check.ssl_renewed", now, facts);
    event.old_certificate = old->certificate;
    events.push_back(std::move(event));
  }
  const int due = DaysDue(*memory.facts, now, days);
  if (due > 0 && (memory.days_said == 0 || due < memory.days_said)) {
    memory.days_said = due;
    ProbeEvent event = Event("check.ssl_expiration", now, *memory.facts);
    event.days_before_expiration = due;
    events.push_back(std::move(event));
  }
  return events;
}

v1::StoredTls ToStored(const CertificateMemory& memory) {
  v1::StoredTls stored;
  if (memory.facts.has_value()) {
    *stored.mutable_certificate() = ToStored(memory.facts->certificate);
    stored.set_earliest_expiry(ToMicros(memory.facts->earliest_expiry));
    stored.set_verify_error(memory.facts->verify_error);
    stored.set_verify_text(memory.facts->verify_text);
    stored.set_version(memory.facts->version);
  }
  stored.set_tested(ToMicros(memory.tested_at));
  stored.set_invalid(memory.invalid);
  stored.set_other_looks(memory.other_looks);
  stored.set_days_said(memory.days_said);
  stored.set_said(memory.decided);
  return stored;
}

CertificateMemory FromStored(const v1::StoredTls& stored) {
  CertificateMemory memory;
  if (stored.has_certificate()) {
    probe::TlsFacts& facts = memory.facts.emplace();
    facts.certificate = FromStored(stored.certificate());
    facts.earliest_expiry = FromMicros(stored.earliest_expiry());
    facts.verify_error = stored.verify_error();
    facts.verify_text = stored.verify_text();
    facts.version = stored.version();
  }
  memory.tested_at = FromMicros(stored.tested());
  memory.invalid = stored.invalid();
  memory.other_looks = stored.other_looks();
  memory.days_said = stored.days_said();
  memory.decided = stored.said();
  return memory;
}

}  // namespace fleet::collector
