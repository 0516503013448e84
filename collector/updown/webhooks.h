#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "collector/events.h"
#include "collector/probes/probes.h"
#include "collector/updown/updown_store.h"
#include "collector/updown/webhook_store.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Tells recipients what happens to probes. Each has a thread and a place of its own, so that one
/// who is slow or gone delays nobody else. An event is delivered once; only when we die between an
/// answer and noting it does it come again, with the same token, event and time. Thread-safe.
class Webhooks {
 public:
  static constexpr int kAttemptsMax = 25;
  static constexpr absl::Duration kRetryFirst = absl::Seconds(15);
  static constexpr absl::Duration kRetryMax = absl::Hours(4);  // 25 attempts: more than two days
  static constexpr absl::Duration kTimeout = absl::Seconds(10);
  /// At the end, what is being sent may be answered for so long.
  static constexpr absl::Duration kStopGrace = absl::Seconds(2);
  static constexpr size_t kEventsAtOnce = 100;
  static constexpr size_t kParkedMax = 1'000;  // of one recipient; then they hold up the others
  static constexpr absl::Duration kLookEvery = absl::Seconds(2);
  static constexpr absl::Duration kLookGapMin = absl::Milliseconds(200);  // however much changes

  struct Counts {
    std::atomic<uint64_t> delivered = 0;
    std::atomic<uint64_t> failed = 0;    // attempts
    std::atomic<uint64_t> given_up = 0;  // after kAttemptsMax
    std::atomic<uint64_t> lost = 0;      // gone from the database before they could be delivered
  };
  /// Everything given must outlive it.
  struct Parts {
    Probes& probes;
    UpdownStore& recipients;
    WebhookStore& store;
    Clock& clock;
    EventLog* events = nullptr;  // told of what was given up
    std::string base_url = {};   // where our links lead
    /// Asked before connecting to a URL that came through the API. Null: every address will do.
    std::function<std::string(const std::string& address, int port)> guard = {};
    std::function<std::string(const std::string& url)> ca_of = {};  // CA file of a configured URL
    absl::Duration retry_first = kRetryFirst;
  };

  explicit Webhooks(Parts parts);
  /// Ends what runs, at the latest after kStopGrace.
  ~Webhooks();

  /// Says that there may be news. Returns at once.
  void Wake();
  const Counts& counts() const { return counts_; }
  /// Events of the recipient that is furthest behind that wait for another try.
  size_t waiting() const;

 private:
  class Feed;

  void Run(const std::stop_token& stop);
  void Reconcile();

  const Parts parts_;
  Counts counts_;
  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::unique_ptr<Feed>> feeds_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

/// How long to wait after the `attempts`th failure: 15 s, 16 s, 31 s, 96 s, … at most kRetryMax.
absl::Duration RetryDelay(int attempts, absl::Duration first);

}  // namespace fleet::collector
