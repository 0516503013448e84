#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/http/routes.h"
#include "collector/probes/probes.h"
#include "collector/web/announcements.h"
#include "collector/web/options.h"
#include "collector/web/web_file.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// What the public sees, rendered into memory by a thread of its own when something changes and
/// every minute, so that no reader costs more than a copy. Thread-safe.
class Web {
 public:
  static constexpr absl::Duration kRenderEvery = absl::Minutes(1);
  /// Changes that come thick are rendered so often.
  static constexpr absl::Duration kRenderGapMin = absl::Seconds(1);
  /// What is rendered holds so long: some renderings and deliveries may go wrong before that.
  static constexpr absl::Duration kValidFor = absl::Minutes(5);
  static constexpr size_t kJobsMax = 64;

  struct Parts {
    AnnouncementStore& announcements;
    Clock& clock;
    Probes* probes = nullptr;  // null: there are none
    StatusPageOptions page = {};
    absl::Duration valid_for = kValidFor;  // another one is for tests
  };

  /// Renders once, then goes on. Everything given must outlive it, and whoever is told by
  /// probes->OnChange must call Changed.
  explicit Web(const Parts& parts);
  /// Jobs that wait are not run any more.
  ~Web();

  /// The paths that it answers.
  std::vector<Routes::Route> Paths();

  /// Says that something has changed that is shown. Returns at once.
  void Changed();

  /// Runs `job` on its thread, where waiting for a disk holds up nobody else. When it returns true,
  /// what changed is rendered before `done`. Returns whether it will run: false when kJobsMax wait.
  bool Run(std::function<bool()> job, std::function<void()> done);

  /// The newest rendering; never null.
  std::shared_ptr<const WebFiles> files() const;
  /// The newest, as soon as there is one with a greater number than `seen`, or after a stop.
  std::shared_ptr<const WebFiles> WaitForNext(uint64_t seen, const std::stop_token& stop);

 private:
  struct Job {
    std::function<bool()> work;
    std::function<void()> done;
  };

  void Loop(const std::stop_token& stop);
  void Render();
  HttpResponse Serve(const HttpRequest& request, const std::string& name) const;

  const Parts parts_;

  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable_any rendered_;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const WebFiles> files_ ABSL_GUARDED_BY(mutex_);
  SteadyTime rendered_at_;  // the thread's own
  std::jthread thread_;     // last: it uses all of the above
};

}  // namespace fleet::collector
