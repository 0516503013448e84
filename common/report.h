#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/metric.h"

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

/// The samples of one report, kept flat: collecting a thousand of them costs a few allocations, and
/// two reports with the same series compare with one memcmp. A series is its family's name and its
/// labels in exposition form (see AppendLabels). Not thread-safe.
class SampleSet {
 public:
  struct Family {
    std::string name;
    MetricType type;
    std::string help;
    bool operator==(const Family&) const = default;
  };
  struct Series {
    uint32_t family;  // index into families()
    uint32_t labels_begin;
    uint32_t labels_size;  // bytes of the labels' text
    bool operator==(const Series&) const = default;
  };

  /// Adds one sample of a family without wildcard.
  void Add(const MetricDesc& desc, absl::Span<const Label> labels, double value);
  /// Adds one sample of a wildcard family ("node_memory_*"), whose '*' stands for `rest`.
  void AddNamed(const MetricDesc& desc, absl::string_view rest, absl::Span<const Label> labels,
                double value);
  /// As Add, for a family not known at compile time and labels already in exposition form.
  void AddRaw(const Family& family, absl::string_view labels, double value);
  void Clear();
  /// Gives every series its new value, in order. `values` has size() of them.
  void SetValues(absl::Span<const double> values);

  size_t size() const { return values_.size(); }
  absl::Span<const Family> families() const { return families_; }
  absl::Span<const Series> series() const { return series_; }
  absl::Span<const double> values() const { return values_; }
  absl::string_view name(size_t i) const { return families_[series_[i].family].name; }
  absl::string_view labels(size_t i) const {
    return absl::string_view(text_).substr(series_[i].labels_begin, series_[i].labels_size);
  }

  /// Whether both hold the same series in the same order, whatever their values.
  bool SameSeries(const SampleSet& other) const;

 private:
  uint32_t FamilyIndex(const MetricDesc& desc, absl::string_view rest);
  void Append(uint32_t family, absl::Span<const Label> labels, double value);

  std::vector<Family> families_;
  /// The desc that families_[i] was made from; null for AddRaw.
  std::vector<const MetricDesc*> descs_;
  std::vector<Series> series_;
  std::vector<double> values_;
  std::string text_;
  uint32_t last_family_ = 0;
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
