#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/types/span.h"
#include "collector/self_metrics.h"
#include "collector/web/publish_target.h"
#include "collector/web/web.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Takes what Web renders to where it outlives us: one thread per target, so that a slow one delays
/// nobody. Thread-safe.
class Publisher {
 public:
  /// What has no validity and has not changed is sent again so often, should somebody remove it.
  static constexpr absl::Duration kRepeatEvery = absl::Hours(1);
  /// Changes that come thick are sent so often.
  static constexpr absl::Duration kGapMin = absl::Seconds(2);
  /// After a failure; doubled up to the second.
  static constexpr absl::Duration kPauseFirst = absl::Seconds(2);
  static constexpr absl::Duration kPauseMax = absl::Minutes(1);
  /// So many rounds in a row must fail before it is noted: one may be a reload of their web server.
  static constexpr int kFailuresNoted = 2;

  /// Everything given must outlive it.
  Publisher(absl::Span<const PublishOptions> targets, Web& web, Clock& clock);
  /// Ends what is under way.
  ~Publisher();

  void SetMetrics(SelfMetrics& metrics) const;
  /// A line for each target that fails.
  void AddNotes(std::vector<std::string>& notes) const;

 private:
  struct Sent {
    std::string etag;
    SteadyTime at;
  };
  struct Track {
    std::string name;
    std::unique_ptr<PublishTarget> target;
    std::map<std::string, Sent> sent;  // the thread's own

    std::atomic<uint64_t> files = 0;
    std::atomic<uint64_t> failures = 0;
    mutable Mutex mutex;
    std::condition_variable_any wake;
    absl::Time newest ABSL_GUARDED_BY(mutex);  // when what it has was rendered; at first: our start
    int failed_rounds ABSL_GUARDED_BY(mutex) = 0;
    std::string error ABSL_GUARDED_BY(mutex);
    std::jthread thread;  // last: it uses all of the above
  };

  void Loop(Track& track, const std::stop_token& stop);
  absl::Status Round(Track& track, const WebFiles& files, const std::stop_token& stop);
  /// Notes what came of a round; returns how long to pause.
  absl::Duration Judge(Track& track, const WebFiles& files, const absl::Status& status);

  Web& web_;
  Clock& clock_;
  std::vector<std::unique_ptr<Track>> tracks_;
};

}  // namespace fleet::collector
