#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/family.h"
#include "collector/status_size.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/segment/segment.h"
#include "fleet/v1/fleet.pb.h"

namespace fleet::collector {

struct StateLimits {
  size_t hosts = 20'000;
  size_t series_per_host = 20'000;
  size_t checks_per_host = 256;
  size_t label_bytes = 8'192;          // of one series, all labels together
  double reports_per_second = 100;     // per host; a burst of ten seconds' worth is let through
  size_t definition_bytes = 16 << 20;  // per host: names, helps and labels of its series
  ItemLimits items = {};               // per host
};

/// What the configuration says a host or its checks depend on.
struct HostParents {
  std::string parent;                                      // of the host
  absl::flat_hash_map<std::string, std::string> by_check;  // of a check
};

struct StateOptions {
  StateLimits limits;
  std::string job = "fleet";  // the `job` label
  std::string collector_version;
  absl::flat_hash_map<std::string, HostParents> parents;  // by host
};

/// What an agent says of itself when it opens a stream.
struct AgentHello {
  std::string agent_version;
  absl::Duration interval;
};

/// What an agent says of the reports that wait with it.
struct SpoolFacts {
  uint64_t reports = 0;  // that wait for this collector
  uint64_t segments = 0;
  uint64_t bytes = 0;
  absl::Duration oldest_age = absl::ZeroDuration();
  uint64_t dropped_reports = 0;  // for a bound, since the agent started
  uint64_t damaged_bytes = 0;    // found unreadable, since the agent started
};

/// One check of one host at the moment of a snapshot. Everything it points to is immutable.
struct CheckView {
  std::string name;
  std::shared_ptr<const ReportStatus> status;
  std::shared_ptr<const PublishedLayout> published;  // null: no series
  std::shared_ptr<const double[]> block;
  absl::Duration age;  // since it arrived
  absl::Duration interval;
  absl::Duration duration;
  absl::Time last_success = absl::InfinitePast();
  absl::Duration last_success_age = absl::InfiniteDuration();
  bool stale = false;
  std::string caused_by;  // the root cause, "host/check/item"; empty: it is its own
};

/// What is said of a host besides its checks.
struct HostFacts {
  std::string name;
  // How each line of the host goes on after its own labels.
  std::string tail;      // instance="tempo",job="fleet"} and a blank
  std::string our_tail;  // the same with host="tempo", for fleet_*
};

struct HostView {
  std::shared_ptr<const HostFacts> facts;
  bool up = false;
  absl::Time last_seen = absl::InfinitePast();
  absl::Duration age = absl::InfiniteDuration();
  absl::Duration skew;
  std::string agent_version;
  std::string address;
  SpoolFacts spool;
  uint64_t series = 0;
  uint64_t refused_series[kRefusals] = {};  // of the newest reports
  uint64_t refused_reports = 0;             // since the collector started
  uint64_t refused_items = 0;               // of the newest reports
  std::vector<CheckView> checks;            // sorted by name
};

/// What each check of one host said last.
using StatusMemory = std::map<std::string, std::shared_ptr<const ReportStatus>, std::less<>>;

/// Whether a host is heard, without anything it says.
struct HostPulse {
  std::string name;
  bool up = false;
  bool limited = false;  // something of it is beyond a limit
  absl::Time last_seen;
};

/// A check as it was last known before this process started.
struct RestoredCheck {
  std::string name;
  std::shared_ptr<const ReportStatus> status;
  std::shared_ptr<const Layout> layout;
  std::shared_ptr<const double[]> block;
  absl::Time seen;  // by our clock
  absl::Duration interval;
  absl::Duration duration;
  absl::Time last_success = absl::InfinitePast();
};

/// Series that are no host's. What it points to is immutable.
struct ExtraSeries {
  std::shared_ptr<const PublishedLayout> published;
  std::shared_ptr<const double[]> block;
  std::shared_ptr<const HostFacts> facts;  // only its tails are used
};

/// The fleet at one moment, sorted by name. Holds nothing up: what it points to is immutable.
struct FleetView {
  std::vector<HostView> hosts;
  std::vector<ExtraSeries> extra;  // what else is shown
  uint64_t hosts_refused = 0;
};

struct CheckEntry;

/// The newest report of each check of each host, and who is connected. Freshness is judged by this
/// machine's steady clock: a check is stale at max(3 × its interval, 45 s) without a report, a host
/// is down when nothing was heard of it for as long. Thread-safe; no call blocks for long, and
/// calls about different hosts hardly meet.
class FleetState {
 public:
  FleetState(Clock& clock, StateOptions options);
  ~FleetState();
  FleetState(const FleetState&) = delete;
  FleetState& operator=(const FleetState&) = delete;

  /// A stream of `host` opened. Returns its id, for Disconnect.
  /// Errors: kResourceExhausted when there are too many hosts.
  absl::StatusOr<uint64_t> Connect(absl::string_view host, const AgentHello& hello,
                                   absl::string_view address);
  void Disconnect(absl::string_view host, uint64_t connection);

  /// Takes a report of the live lane (the backlog is history, not state), sent at `sent` by the
  /// host's clock (InfinitePast: not known), with `spool` behind it.
  /// Errors: kNotFound without Connect; kResourceExhausted beyond the rate or the number of checks:
  /// counted, the report is not served, nothing else is wrong.
  absl::Status Apply(absl::string_view host, const DecodedReport& report, absl::Time sent,
                     const SpoolFacts& spool = {});

  /// Called with each report whose status is another object than that before it (null: there was
  /// none), after it is applied, by the thread that brought it; set before the first report.
  using StatusObserver = std::function<void(absl::string_view host, absl::string_view check,
                                            const ReportStatus* before, const ReportStatus& after)>;
  void SetStatusObserver(StatusObserver observer) { observer_ = std::move(observer); }

  /// Makes a host known by what it said before this process started: as old as it is, so mostly
  /// stale. False, and nothing happens, when it is known already or the limit of hosts is reached.
  bool Restore(absl::string_view host, const std::vector<RestoredCheck>& checks);

  /// Drops a host with all it has. False when it is not known.
  bool Forget(absl::string_view host);

  /// All hosts, or only `host`: empty when it is not known.
  FleetView Snapshot(absl::string_view host = {}) const;
  bool Knows(absl::string_view host) const;
  StatusMemory Statuses(absl::string_view host) const;
  /// Every host, in no order.
  std::vector<HostPulse> Pulses() const;

  /// The state in words, causes resolved.
  v1::StatusReply Status(const v1::StatusRequest& request) const;

  /// Lets others than the state say, in words, what is wrong with the collector; null: no more of
  /// that. Called by each Status, must not call back.
  using NoteSource = std::function<void(std::vector<std::string>&)>;
  void SetNoteSource(NoteSource source);

  /// Grows with each change of what Status says but for ages.
  uint64_t version() const;
  /// Waits until the version is no longer `seen`, `deadline` or a stop; returns the version.
  uint64_t WaitForChange(uint64_t seen, SteadyTime deadline, const std::stop_token& stop);

  const StateOptions& options() const { return options_; }
  /// For the decoders of all streams, so that equal layouts are one.
  LayoutPool& layouts() { return layouts_; }
  /// So that whoever else publishes series agrees with /metrics on types and names.
  FamilyRegistry& families() { return families_; }

 private:
  struct Host;
  struct Shard;

  Shard& ShardOf(absl::string_view host) const;
  std::shared_ptr<Host> Find(absl::string_view host) const;
  std::shared_ptr<Host> FindOrAdd(absl::string_view host);
  void Publish(Host& host, CheckEntry& entry, const std::shared_ptr<const Layout>& layout);
  void Changed();
  HostView View(Host& host, SteadyTime now) const;
  FleetView SnapshotWithoutCauses(absl::string_view only) const;

  Clock& clock_;
  const StateOptions options_;
  const SteadyTime started_;
  LayoutPool layouts_;
  FamilyRegistry families_;
  StatusObserver observer_;
  std::unique_ptr<Shard[]> shards_;

  mutable Mutex notes_mutex_;
  NoteSource notes_ ABSL_GUARDED_BY(notes_mutex_);

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
  size_t hosts_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t hosts_refused_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_connection_ ABSL_GUARDED_BY(mutex_) = 1;
};

/// The verdict of a host: the worst of its checks; unknown when it is down.
Verdict HostVerdict(const HostView& host);

/// Fills in what each failing check of `view` follows from, by what is known of `all`. Pure.
void ResolveCauses(const FleetView& all, const StateOptions& options, FleetView& view);

/// The root cause of what depends on `parent` and fails, by what is known of `all`; empty when
/// `parent` does not fail. Pure.
std::string CauseThrough(const FleetView& all, const StateOptions& options,
                         const std::string& parent);

/// What Status answers, from a view of all hosts. Pure.
v1::StatusReply MakeStatus(const FleetView& view, const StateOptions& options,
                           const v1::StatusRequest& request);

}  // namespace fleet::collector
