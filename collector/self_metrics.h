#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/metric.h"
#include "common/mutex.h"

namespace fleet::collector {

/// What the collector says of itself at /metrics/self.
namespace self {
inline constexpr MetricDesc kBuildInfo = {"fleet_collector_build_info", MetricType::kGauge,
                                          "Which collector this is; always 1."};
inline constexpr MetricDesc kStreams = {"fleet_collector_streams", MetricType::kGauge,
                                        "Open streams of agents, by lane."};
inline constexpr MetricDesc kStreamsClosed = {
    "fleet_collector_streams_closed_total", MetricType::kCounter,
    "Streams of agents that ended, by the code they ended with."};
inline constexpr MetricDesc kReports = {"fleet_collector_reports_total", MetricType::kCounter,
                                        "Reports taken in, by lane."};
inline constexpr MetricDesc kSamples = {"fleet_collector_samples_total", MetricType::kCounter,
                                        "Samples taken in, by lane."};
inline constexpr MetricDesc kBytes = {"fleet_collector_received_bytes_total", MetricType::kCounter,
                                      "Bytes of segment records taken in, by lane."};
inline constexpr MetricDesc kRejected = {
    "fleet_collector_rejected_total", MetricType::kCounter,
    "Connections, calls and messages that were refused, by reason."};
inline constexpr MetricDesc kConnections = {"fleet_collector_connections", MetricType::kGauge,
                                            "Open gRPC connections."};
inline constexpr MetricDesc kConnectionsTaken = {"fleet_collector_connections_total",
                                                 MetricType::kCounter,
                                                 "gRPC connections that were let in."};
inline constexpr MetricDesc kConnectionsShut = {
    "fleet_collector_connections_shut_total", MetricType::kCounter,
    "gRPC connections closed by us, by the limit that was reached: at once, or (unread) because "
    "more was sent than any message has."};
inline constexpr MetricDesc kEventsDropped = {
    "fleet_collector_events_dropped_total", MetricType::kCounter,
    "Events that were not kept because the disk did not follow."};
inline constexpr MetricDesc kAcks = {"fleet_collector_acks_total", MetricType::kCounter,
                                     "Acknowledgements of reports that are safe, by lane."};
inline constexpr MetricDesc kUnkept = {
    "fleet_collector_streams_unkept_total", MetricType::kCounter,
    "Live streams that went on without acknowledgements because the journal had no room."};
inline constexpr MetricDesc kJournalBytes = {"fleet_collector_journal_bytes", MetricType::kGauge,
                                             "Bytes of the journal on disk, by part (hosts, log)."};
inline constexpr MetricDesc kJournalFiles = {"fleet_collector_journal_files", MetricType::kGauge,
                                             "Files of the journal on disk, by part (hosts, log)."};
inline constexpr MetricDesc kJournalCommits = {
    "fleet_collector_journal_commits_total", MetricType::kCounter,
    "Groups of reports written to the journal's log and synced."};
inline constexpr MetricDesc kJournalCommitSeconds = {
    "fleet_collector_journal_commit_seconds_total", MetricType::kCounter,
    "Seconds spent in writing and syncing groups."};
inline constexpr MetricDesc kJournalSyncs = {
    "fleet_collector_journal_syncs_total", MetricType::kCounter,
    "Calls of fsync by the journal, on log, segment files and directories."};
inline constexpr MetricDesc kJournalErrors = {
    "fleet_collector_journal_write_errors_total", MetricType::kCounter,
    "Times the disk refused to take what the journal wrote."};
inline constexpr MetricDesc kJournalWaiting = {"fleet_collector_journal_waiting_entries",
                                               MetricType::kGauge,
                                               "Messages of reports that wait for the disk."};
inline constexpr MetricDesc kJournalWaitingBytes = {
    "fleet_collector_journal_waiting_bytes", MetricType::kGauge,
    "Bytes of reports in memory that are not yet in their files."};
inline constexpr MetricDesc kJournalRepeats = {"fleet_collector_journal_repeated_reports_total",
                                               MetricType::kCounter,
                                               "Reports that came again and were ignored."};
inline constexpr MetricDesc kJournalDropped = {
    "fleet_collector_journal_dropped_reports_total", MetricType::kCounter,
    "Reports that left the journal, by reason (age, bytes, lost)."};
inline constexpr MetricDesc kJournalDamaged = {
    "fleet_collector_journal_damaged_bytes_total", MetricType::kCounter,
    "Bytes of the journal found unreadable at the start and cut off or set aside."};
inline constexpr MetricDesc kJournalFailing = {"fleet_collector_journal_failing",
                                               MetricType::kGauge,
                                               "1 while the disk refuses what the journal writes."};
inline constexpr MetricDesc kEventsSuppressed = {
    "fleet_collector_events_suppressed_total", MetricType::kCounter,
    "Events not kept because their host had too many."};
inline constexpr MetricDesc kHttpRequests = {"fleet_collector_http_requests_total",
                                             MetricType::kCounter,
                                             "HTTP requests answered, by route and status code."};
inline constexpr MetricDesc kHttpSeconds = {
    "fleet_collector_http_request_seconds_total", MetricType::kCounter,
    "Seconds from a request's first line until its answer was taken, by route."};
inline constexpr MetricDesc kHttpBytes = {"fleet_collector_http_response_bytes_total",
                                          MetricType::kCounter,
                                          "Bytes of HTTP bodies made, by route."};
inline constexpr MetricDesc kHttpConnections = {"fleet_collector_http_connections",
                                                MetricType::kGauge, "Open HTTP connections."};
inline constexpr MetricDesc kHttpShut = {
    "fleet_collector_http_connections_shut_total", MetricType::kCounter,
    "HTTP connections that ended without an answer: for a limit, a deadline, a client that did not "
    "read (stalled), or before a whole request was there (no_request)."};
inline constexpr MetricDesc kWatchers = {"fleet_collector_status_watchers", MetricType::kGauge,
                                         "Clients that watch the status."};
inline constexpr MetricDesc kRemoteWriteSamples = {
    "fleet_collector_remote_write_samples_total", MetricType::kCounter,
    "Samples that a receiver has taken, stale markers too."};
inline constexpr MetricDesc kRemoteWriteDropped = {
    "fleet_collector_remote_write_dropped_samples_total", MetricType::kCounter,
    "Samples that a receiver will never have, by reason."};
inline constexpr MetricDesc kRemoteWriteRetried = {
    "fleet_collector_remote_write_retried_samples_total", MetricType::kCounter,
    "Samples that were sent again because the receiver could not take them."};
inline constexpr MetricDesc kRemoteWriteLost = {
    "fleet_collector_remote_write_lost_reports_total", MetricType::kCounter,
    "Reports that left the journal, by retention or damage, before a receiver had them."};
inline constexpr MetricDesc kRemoteWriteRequests = {"fleet_collector_remote_write_requests_total",
                                                    MetricType::kCounter,
                                                    "Requests sent to a receiver."};
inline constexpr MetricDesc kRemoteWriteFailed = {
    "fleet_collector_remote_write_failed_requests_total", MetricType::kCounter,
    "Requests that a receiver could not take and that were sent again."};
inline constexpr MetricDesc kRemoteWriteBytes = {"fleet_collector_remote_write_sent_bytes_total",
                                                 MetricType::kCounter,
                                                 "Bytes of request bodies, compressed."};
inline constexpr MetricDesc kRemoteWritePending = {
    "fleet_collector_remote_write_pending_segments", MetricType::kGauge,
    "Segments of the journal that a receiver does not have as a whole."};
inline constexpr MetricDesc kRemoteWriteLag = {
    "fleet_collector_remote_write_lag_seconds", MetricType::kGauge,
    "Age of the oldest report that a receiver does not have."};
inline constexpr MetricDesc kRemoteWriteFailing = {
    "fleet_collector_remote_write_failing_seconds", MetricType::kGauge,
    "Since when a receiver has taken nothing; 0 while it works."};
inline constexpr MetricDesc kPublishFiles = {"fleet_collector_publish_files_total",
                                             MetricType::kCounter,
                                             "Public files that a publish target has taken."};
inline constexpr MetricDesc kPublishFailures = {
    "fleet_collector_publish_failures_total", MetricType::kCounter,
    "Public files that a publish target could not take and that were sent again."};
inline constexpr MetricDesc kPublishAge = {"fleet_collector_publish_age_seconds",
                                           MetricType::kGauge,
                                           "Age of the status page that a publish target has."};
inline constexpr MetricDesc kProbeBlind = {
    "fleet_probe_blind_looks_total", MetricType::kCounter,
    "Looks of probes that could not be tried, so that they say nothing of the target."};
inline constexpr MetricDesc kProbeDropped = {"fleet_probe_dropped_looks_total",
                                             MetricType::kCounter,
                                             "Looks of probes not judged: too many waited."};
inline constexpr MetricDesc kProbeLooks = {"fleet_probe_looks_total", MetricType::kCounter,
                                           "Looks of probes that were judged."};
inline constexpr MetricDesc kProbeMissed = {
    "fleet_probe_missed_turns_total", MetricType::kCounter,
    "Turns of probes at which nobody looked, because it was too late or the look before was still "
    "running."};
inline constexpr MetricDesc kProbeRunning = {"fleet_probe_running", MetricType::kGauge,
                                             "Looks of probes that are under way."};
inline constexpr MetricDesc kProbeLag = {"fleet_probe_schedule_lag_seconds",
                                         MetricType::kUntyped,  // a histogram: see Observe
                                         "How long after its time each look of a probe began."};
inline constexpr MetricDesc kProbeWaiting = {"fleet_probe_waiting_looks", MetricType::kGauge,
                                             "Looks of probes that wait to be judged."};
inline constexpr MetricDesc kVantageDropped = {
    "fleet_vantage_dropped_looks_total", MetricType::kCounter,
    "What agents reported of probes that was no look or older than a week."};
inline constexpr MetricDesc kProbeWriteErrors = {
    "fleet_probe_write_errors_total", MetricType::kCounter,
    "Times the disk refused to take what probes find."};
inline constexpr MetricDesc kWebhooks = {
    "fleet_collector_webhooks_total", MetricType::kCounter,
    "Events of probes for recipients: delivered, attempts that failed, given up, or lost because "
    "they were gone before."};
inline constexpr MetricDesc kPulses = {"fleet_collector_pulses_total", MetricType::kCounter,
                                       "Pulses to those who watch this collector: sent, failed, or "
                                       "held back because it was not well."};
inline constexpr MetricDesc kCpu = {"process_cpu_seconds_total", MetricType::kCounter,
                                    "Total user and system CPU time spent in seconds.", true};
inline constexpr MetricDesc kResident = {"process_resident_memory_bytes", MetricType::kGauge,
                                         "Resident memory size in bytes.", true};
inline constexpr MetricDesc kVirtual = {"process_virtual_memory_bytes", MetricType::kGauge,
                                        "Virtual memory size in bytes.", true};
inline constexpr MetricDesc kThreads = {"process_threads", MetricType::kGauge,
                                        "Number of OS threads in the process.", true};
inline constexpr MetricDesc kStart = {"process_start_time_seconds", MetricType::kGauge,
                                      "Start time of the process since unix epoch in seconds.",
                                      true};
inline constexpr MetricDesc kOpenFds = {"process_open_fds", MetricType::kGauge,
                                        "Number of open file descriptors.", true};
inline constexpr MetricDesc kMaxFds = {"process_max_fds", MetricType::kGauge,
                                       "Maximum number of open file descriptors.", true};
/// Every one of the above.
absl::Span<const MetricDesc* const> Descriptors();
}  // namespace self

/// A counter that costs one atomic addition.
class SelfCounter {
 public:
  void Add(double value = 1) const;

 private:
  friend class SelfMetrics;
  explicit SelfCounter(void* counter) : counter_(counter) {}
  void* counter_;  // the library's, owned by its registry
};

/// The collector's metrics about itself; the one door to prometheus-cpp. Thread-safe.
class SelfMetrics {
 public:
  SelfMetrics();
  ~SelfMetrics();

  SelfCounter Counter(const MetricDesc& desc, absl::Span<const Label> labels);
  void Count(const MetricDesc& desc, absl::Span<const Label> labels, double value = 1);
  /// A gauge, or a counter whose value somebody else keeps.
  void Set(const MetricDesc& desc, absl::Span<const Label> labels, double value);
  /// One observation of a histogram; its edges are those of kLagEdges.
  void Observe(const MetricDesc& desc, absl::Span<const Label> labels, double value);
  /// Called before each Render to Set what others know, by one thread at a time.
  void AddSource(std::function<void(SelfMetrics&)> source);
  /// Forgets every source, when what they look at goes.
  void ClearSources();

  /// Everything in text 0.0.4.
  std::string Render();

 private:
  struct Library;

  const std::unique_ptr<Library> library_;
  Mutex mutex_;
  std::vector<std::function<void(SelfMetrics&)>> sources_ ABSL_GUARDED_BY(mutex_);
};

/// Sets the process_* metrics from /proc/self. A value that cannot be read is left out.
void SetProcessMetrics(SelfMetrics& metrics);

}  // namespace fleet::collector
