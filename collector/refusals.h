#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "collector/events.h"
#include "collector/self_metrics.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Who was not let in.
struct RefusedPeer {
  std::string reason;   // a word: see DistrustName, TokenRefusalName
  std::string text;     // one line for people
  std::string host;     // by a certificate of ours, however bad now; empty: nobody we know
  std::string address;  // where it came from
};

/// Keeps what was refused apart by its reason: a counter for each time; a line in the log and an
/// event for each reason and address once in a while, so that whoever knocks without end fills
/// neither. Thread-safe.
class Refusals {
 public:
  static constexpr absl::Duration kRepeatEvery = absl::Minutes(10);
  /// Of one reason, pairs of address and host that are told apart; beyond, refusals for it are only
  /// counted, and those for other reasons are none the worse.
  static constexpr size_t kKnownMax = 200;

  Refusals(EventLog& events, SelfMetrics& metrics, Clock& clock)
      : events_(events), metrics_(metrics), clock_(clock) {}

  void Note(const RefusedPeer& refusal);

 private:
  bool IsNews(const RefusedPeer& refusal);

  EventLog& events_;
  SelfMetrics& metrics_;
  Clock& clock_;
  Mutex mutex_;
  using Known = absl::flat_hash_map<std::string, SteadyTime>;              // when it was told last
  absl::flat_hash_map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);  // by reason
};

}  // namespace fleet::collector
