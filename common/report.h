#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/sample_set.h"

namespace fleet {

/// Numbered as Nagios does, in metrics too. Not the order of badness: see Worse.
enum class Verdict : uint8_t { kOk = 0, kWarn = 1, kCrit = 2, kUnknown = 3 };

/// Why a verdict is unknown: deadline passed; a right is missing; our own fault.
enum class UnknownKind : uint8_t { kNone = 0, kStuck = 1, kBlind = 2, kError = 3 };

/// "ok", "warn", "crit", "unknown".
absl::string_view VerdictName(Verdict verdict);
/// "stuck", "blind", "error"; empty for kNone.
absl::string_view UnknownKindName(UnknownKind kind);

/// The worse of two: crit > unknown > warn > ok, so a blind check never hides a dead RAID.
Verdict Worse(Verdict a, Verdict b);
/// Whether `a` is worse than `b`.
bool IsWorse(Verdict a, Verdict b);

/// One part of a check: a mount, an array, a peer, a queue.
struct Item {
  std::string name;
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;  // one line; empty when there is nothing to say
  /// What this item's failure follows from: "./check", "./check/item" on the same host, or
  /// "host[/check[/item]]". Empty: nothing.
  std::string parent;
};

/// One run of one check.
struct Report {
  std::string check;
  absl::Time start;  // wall clock of the host
  absl::Duration duration;
  absl::Duration interval;  // until the next run is due; freshness is judged by it
  /// Never configured and never seen here: no verdict, no samples, not counted.
  bool absent = false;
  /// Whether the run itself worked, as `fleet_check_success` says; a crit disk is a success.
  bool success = true;
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;
  std::string parent;  // as Item::parent
  std::vector<Item> items;
  SampleSet samples;
};

/// "name{labels} value" per sample, in order: what tests and `fleet-agent check` print.
std::vector<std::string> ExpositionLines(const SampleSet& samples);

/// Appends a value as both exposition formats spell it: shortest form that reads back the same,
/// "NaN", "+Inf", "-Inf".
void AppendValue(double value, std::string& out);

}  // namespace fleet
