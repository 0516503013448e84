#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "collector/probes/certificate_watch.h"
#include "collector/probes/confirm.h"
#include "collector/probes/probe_metrics.h"
#include "collector/probes/probe_store.h"
#include "collector/probes/probes.h"
#include "common/clock.h"

namespace fleet::collector {

inline constexpr absl::string_view kCollectorVantage = "collector";
inline constexpr absl::string_view kPulseVantage = "pulse";

/// The newest samples of one vantage and family.
struct ProbeSamples {
  SampleSet samples;
  SteadyTime at;
};

/// All that is known of one probe. Under its book's lock.
struct ProbeEntry {
  static constexpr size_t kHoursKept = 7;
  static constexpr absl::Duration kCachedFor = absl::Seconds(1);

  std::shared_ptr<const ProbeCheck> check;
  Confirmation confirmation;
  std::optional<Downtime> open;  // as it was decided; told once it is on the disk
  CertificateMemory tls;
  std::map<absl::Time, ProbeMetrics> hours;  // the newest
  std::vector<DownSpan> downs;               // of the last kUptimeSpan
  std::optional<int> last_status;
  absl::Time last_check_at = absl::InfinitePast();
  absl::Time last_pulse = absl::InfinitePast();
  absl::Time known_until = absl::InfinitePast();  // when an earlier run wrote its state last
  absl::Time performance_hour = absl::InfinitePast();
  std::map<std::string, std::string> reported;
  std::optional<bool> head_agrees;  // whether HEAD is answered as GET is; none: not known yet
  std::deque<SeenLook> seen;        // the newest that said something, oldest first
  bool notice_said = false;
  bool mute_over = false;  // "recovery" has come
  std::map<std::pair<std::string, probe::IpFamily>, ProbeSamples> samples;
  std::string unwatched;                      // why nobody looks any more
  std::optional<Downtime> shown;              // the downtime that is told of
  bool dirty = false;                         // its state is to be written
  mutable std::optional<ProbeStatus> cached;  // what Status said a moment ago
  mutable absl::Time cached_at = absl::InfinitePast();

  ConfirmRule Rule() const;
  bool IsPulse() const { return check->type == "pulse"; }
  bool Muted(absl::Time now) const;
  /// Whether anything counts that `vantage` saw last.
  bool Knows(absl::string_view vantage) const;
  ProbeStatus Status(absl::Time now) const;
  /// The same, at most kCachedFor old. Whoever changes something resets `cached`.
  const ProbeStatus& RecentStatus(absl::Time now) const;
  v1::StoredState ToState(absl::Time now) const;
  void Restore(const v1::StoredState& state);
  /// What is asked next: HEAD only of those that answer it as they do GET.
  probe::Spec NextSpec() const;
  void See(SeenLook look);  // keeps the newest
  /// Counts a look into its hour; true when that hour is a new one.
  bool Count(absl::Time time, const ProbeMetrics& look);
  void Forget(absl::Time now);  // what is too old to be kept here
};

/// Whether `vantage` is asked to look.
bool LooksFrom(const ProbeCheck& check, absl::string_view vantage);
/// The vantage whose certificates and headers count: the collector where it looks.
bool IsLeading(const ProbeCheck& check, absl::string_view vantage);
/// The families that are looked at, each by itself.
std::vector<probe::IpFamily> FamiliesOf(const ProbeCheck& check);

}  // namespace fleet::collector
