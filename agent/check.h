#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/clock.h"
#include "common/metric.h"
#include "common/report.h"

namespace fleet::agent {

/// What one check remembers between runs and restarts (disk slope, RAID slots, OOM recency): small
/// texts by key. Owned by the runner, handed to one run at a time; kept in data_dir when there is
/// one.
class CheckMemory {
 public:
  /// Null when nothing is remembered under `key`. Valid until the next Set or Erase.
  const std::string* Find(absl::string_view key) const;
  void Set(absl::string_view key, std::string value);
  void Erase(absl::string_view key);
  const std::map<std::string, std::string, std::less<>>& entries() const { return entries_; }
  /// Grows with every change; tells the runner when to write.
  uint64_t revision() const { return revision_; }

 private:
  std::map<std::string, std::string, std::less<>> entries_;
  uint64_t revision_ = 0;
};

/// One run of a check: where it puts what it finds, and what it may ask. Used by one thread.
class CheckRun {
 public:
  /// `declared` is Check::metrics(): adding any other family is our own mistake and aborts.
  CheckRun(absl::Span<const MetricDesc> declared, Clock& clock, SteadyTime deadline,
           CheckMemory& memory, bool expected);

  void Add(const MetricDesc& desc, absl::Span<const Label> labels, double value);
  void Add(const MetricDesc& desc, double value) { Add(desc, {}, value); }
  /// For a wildcard family: `rest` stands for its '*'.
  void AddNamed(const MetricDesc& desc, absl::string_view rest, double value,
                absl::Span<const Label> labels = {});
  /// For series taken over from a server's own exposition (minio): any family name that one of the
  /// declared wildcard families covers.
  void AddRaw(const SampleSet::Family& family, absl::string_view labels, double value);

  /// The returned reference is valid until the next AddItem.
  Item& AddItem(absl::string_view name, Verdict verdict, absl::string_view reason = "");
  Item& AddUnknownItem(absl::string_view name, UnknownKind kind, absl::string_view reason);

  /// The check's own reason; without it the runner takes the worst item's ("/data: 91 % used").
  void SetReason(absl::string_view reason) { report_.reason = std::string(reason); }
  /// Raises the check's verdict beyond its items' (never lowers it), with the reason for it.
  void Raise(Verdict verdict, absl::string_view reason, UnknownKind kind = UnknownKind::kNone);
  /// What the check's failure follows from; see Item::parent.
  void SetParent(absl::string_view parent) { report_.parent = std::string(parent); }

  CheckMemory& memory() { return memory_; }
  absl::Time now() const { return clock_.Now(); }
  SteadyTime steady_now() const { return clock_.SteadyNow(); }
  /// When the runner gives up on this run. Every wait must end before it.
  SteadyTime deadline() const { return deadline_; }
  absl::Duration TimeLeft() const { return deadline_ - clock_.SteadyNow(); }
  /// Whether this check is configured or was once seen here: then not answering is crit.
  bool expected() const { return expected_; }

  /// What was added so far; the runner takes it from here.
  Report& report() { return report_; }

 private:
  const absl::Span<const MetricDesc> declared_;
  Clock& clock_;
  const SteadyTime deadline_;
  CheckMemory& memory_;
  const bool expected_;
  Report report_;
};

/// What can announce that a check should run now rather than at its interval.
struct Watch {
  enum class Kind {
    kPollPriority,  // poll(POLLPRI) on `path`: mdstat, array_state, mountinfo
    kFileChanged,   // inotify on `path` (a file, which may appear later): the tinc hook's state
    kLinks,         // rtnetlink: a network link appeared, went or changed; `path` unused
    kPressure,      // PSI trigger: `path` is /proc/pressure/X, `argument` as "some 150000 1000000"
  };
  Kind kind;
  std::string path;  // below the host's root
  std::string argument;
  bool operator==(const Watch&) const = default;
};

/// One thing an agent measures. One file in agent/checks, one line in agent/checks/checks.cc.
class Check {
 public:
  virtual ~Check() = default;

  /// Every metric Collect() may add, and no other.
  virtual absl::Span<const MetricDesc> metrics() const = 0;

  /// Measures once. Samples and items added before an error are kept.
  ///
  /// The returned status says whether the run worked; the verdict is the worst of items and
  /// Raise():
  ///   ok                  it worked, whatever it found
  ///   kNotFound, kUnimplemented
  ///                       this host has no such thing: `absent`, or crit when expected
  ///   kUnavailable        it is there but does not answer: crit (its message is the reason)
  ///   kPermissionDenied   unknown: blind; the message names the line that grants the right
  ///   kDeadlineExceeded   unknown: stuck
  ///   anything else       unknown: error
  /// Called by one thread at a time, not always the same; may block until run.deadline().
  virtual absl::Status Collect(CheckRun& run) = 0;

  /// What may announce a change. Asked again after each Collect.
  virtual std::vector<Watch> watches() const { return {}; }
};

}  // namespace fleet::agent
