#include "collector/remote_write/remote_write.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/http_client.h"
#include "common/units.h"

namespace fleet::collector {

/// One receiver and its thread.
struct RemoteWrite::Sender {
  Sender(const ReceiverOptions& options, SeriesContext& context, const Parts& parts)
      : clock(parts.clock),
        receiver(options, Receiver::Parts{
                              .clock = parts.clock,
                              .source = parts.source,
                              .context = context,
                              .cursors = parts.cursors,
                              .post =
                                  [this](absl::Span<const ::fleet::HttpRequest> requests) {
                                    return client.FetchAll(requests, stop);
                                  },
                              .snapshot = [&state = parts.state] { return state.Snapshot(); },
                          }) {
    thread = std::jthread([this](const std::stop_token& token) { Run(token); });
  }

  void Run(const std::stop_token& token) {
    stop = token;
    while (!stop.stop_requested()) {
      const SteadyTime next = SteadyAfter(clock.SteadyNow(), Receiver::kRoundEvery);
      receiver.Round(stop);
      MutexLock lock(mutex);
      clock.WaitUntil(mutex, condition, stop, next, [] { return false; });
    }
  }

  Clock& clock;
  HttpClient client;
  Receiver receiver;
  std::stop_token stop;  // the thread's own
  Mutex mutex;
  std::condition_variable_any condition;
  std::jthread thread;  // last: it uses all of the above
};

RemoteWrite::RemoteWrite(const std::vector<ReceiverOptions>& receivers, const Parts& parts)
    : clock_(parts.clock),
      context_{
          parts.state.families(),
          parts.state.layouts(),
          tables_,
          {parts.state.options().limits.series_per_host, parts.state.options().limits.label_bytes,
           parts.state.options().limits.definition_bytes},
          parts.state.options().job,
          parts.state.options().limits.items,
          parts.state.options().limits.checks_per_host} {
  for (const ReceiverOptions& options : receivers) {
    senders_.push_back(std::make_unique<Sender>(options, context_, parts));
  }
}

RemoteWrite::~RemoteWrite() {
  // All at once: each may be in the middle of a request.
  for (const auto& sender : senders_) sender->thread.request_stop();
}

std::vector<ReceiverStats> RemoteWrite::stats() const {
  std::vector<ReceiverStats> stats;
  for (const auto& sender : senders_) stats.push_back(sender->receiver.stats());
  return stats;
}

void RemoteWrite::SetMetrics(SelfMetrics& metrics) const {
  const absl::Time now = clock_.Now();
  for (const auto& sender : senders_) {
    const ReceiverStats stats = sender->receiver.stats();
    const Label name{"receiver", sender->receiver.options().name};
    const auto set = [&](const MetricDesc& desc, double value) {
      metrics.Set(desc, {name}, value);
    };
    set(self::kRemoteWriteSamples, static_cast<double>(stats.samples.sent));
    for (size_t i = 0; i < kDropReasons; ++i) {
      metrics.Set(self::kRemoteWriteDropped,
                  {name, {"reason", DropReasonName(static_cast<DropReason>(i))}},
                  static_cast<double>(stats.samples.dropped[i]));
    }
    set(self::kRemoteWriteRetried, static_cast<double>(stats.retried_samples));
    set(self::kRemoteWriteLost, static_cast<double>(stats.lost_reports));
    set(self::kRemoteWriteRequests, static_cast<double>(stats.requests));
    set(self::kRemoteWriteFailed, static_cast<double>(stats.failed_requests));
    set(self::kRemoteWriteBytes, static_cast<double>(stats.sent_bytes));
    set(self::kRemoteWritePending, static_cast<double>(stats.pending_segments));
    set(self::kRemoteWriteLag, absl::ToDoubleSeconds(stats.lag));
    set(self::kRemoteWriteFailing,
        stats.failing_since == absl::InfiniteFuture()
            ? 0
            : absl::ToDoubleSeconds(std::max(now - stats.failing_since, absl::ZeroDuration())));
  }
}

std::string ReceiverNote(const std::string& name, const ReceiverStats& stats, absl::Time now) {
  std::vector<std::string> parts;
  if (stats.failing_since != absl::InfiniteFuture() &&
      now - stats.failing_since >= RemoteWrite::kFailingLong) {
    parts.push_back(absl::StrCat("takes nothing since ", HumanDuration(now - stats.failing_since),
                                 " (", stats.failure, ")"));
  }
  if (parts.empty() && stats.lag >= RemoteWrite::kBehindLong) {
    parts.push_back(absl::StrCat("is ", HumanDuration(stats.lag), " behind"));
  }
  if (stats.lost_reports > 0) {
    parts.push_back(absl::StrCat(stats.lost_reports, " reports left the journal unsent"));
  }
  for (size_t i = 0; i < kDropReasons; ++i) {
    if (stats.samples.dropped[i] == 0) continue;
    parts.push_back(absl::StrCat(stats.samples.dropped[i],
                                 " samples dropped: ", DropReasonName(static_cast<DropReason>(i))));
  }
  return parts.empty() ? "" : absl::StrCat("remote-write ", name, ": ", absl::StrJoin(parts, "; "));
}

void RemoteWrite::AddNotes(std::vector<std::string>& notes) const {
  const absl::Time now = clock_.Now();
  for (const auto& sender : senders_) {
    std::string note = ReceiverNote(sender->receiver.options().name, sender->receiver.stats(), now);
    if (!note.empty()) notes.push_back(std::move(note));
  }
}

}  // namespace fleet::collector
