#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "agent/options.h"
#include "agent/parse/tinc_control.h"
#include "agent/tinc_probe.h"
#include "common/clock.h"
#include "common/report.h"

namespace fleet::agent {

/// What the probes of one peer showed since the agent started. Used by one thread.
class TincPeerHistory {
 public:
  /// Ten minutes at the default interval: then three lost packets are 5 %.
  static constexpr size_t kWindow = 60;

  struct Counters {
    uint64_t sent = 0;
    uint64_t lost = 0;
  };

  void Add(const TincProbeResult& result, SteadyTime now);

  /// Runs in a row without any answer; 0 when the last one had one.
  int silent_runs() const { return silent_runs_; }
  /// When the first of them was.
  SteadyTime silent_since() const { return silent_since_; }
  bool ever_reachable() const { return ever_reachable_; }
  /// Whether its agent answers echoes, by the latest runs.
  bool has_echo() const { return has_echo_; }
  /// Big packets lost in a row while small ones came back.
  int big_lost_runs() const { return big_lost_runs_; }
  /// Of the small ones in the window; those of an outage that is over do not count.
  size_t window_sent() const { return window_.size(); }
  size_t window_lost() const;
  /// The median of the last five round trips of small packets.
  std::optional<absl::Duration> rtt() const;
  const TincProbeResult& last() const { return last_; }
  const Counters& small() const { return small_; }
  const Counters& big() const { return big_; }

 private:
  TincProbeResult last_;
  std::deque<bool> window_;  // lost?
  std::deque<absl::Duration> rtts_;
  Counters small_;
  Counters big_;
  int silent_runs_ = 0;
  SteadyTime silent_since_;
  int runs_without_echo_ = 0;
  int big_lost_runs_ = 0;
  bool unreachable_ = false;  // said so in one of the silent runs
  bool ever_reachable_ = false;
  bool has_echo_ = false;
};

/// All that is known of one peer in one run.
struct TincPeerView {
  bool required = false;  // must be up
  bool daemon_up = true;
  bool probed = false;
  std::string why_not_probed;                // when it could have been wished for
  const TincPeerHistory* history = nullptr;  // with at least one Add, when probed
  std::optional<bool> present;               // on the VPN, by tincd or its hook
  TincPath path = TincPath::kUnknown;
  bool path_inferred = false;  // from the meta connection's byte counters
};

struct TincPeerVerdict {
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;
  bool operator==(const TincPeerVerdict&) const = default;
};

/// The verdict on a peer. One that need not be up is never worse than ok.
TincPeerVerdict JudgeTincPeer(const TincPeerView& view, const TincOptions& options, SteadyTime now);

}  // namespace fleet::agent
