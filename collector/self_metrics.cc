#include "collector/self_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

namespace fleet::collector {

namespace self {

absl::Span<const MetricDesc* const> Descriptors() {
  static constexpr const MetricDesc* kAll[] = {
      &kBuildInfo,
      &kStreams,
      &kStreamsClosed,
      &kReports,
      &kSamples,
      &kBytes,
      &kRejected,
      &kHttpRequests,
      &kHttpSeconds,
      &kHttpBytes,
      &kHttpConnections,
      &kHttpShut,
      &kWatchers,
      &kWebhooks,
      &kPulses,
      &kCpu,
      &kResident,
      &kAcks,
      &kUnkept,
      &kJournalBytes,
      &kJournalFiles,
      &kJournalCommits,
      &kJournalCommitSeconds,
      &kJournalSyncs,
      &kJournalErrors,
      &kJournalWaiting,
      &kJournalWaitingBytes,
      &kJournalRepeats,
      &kJournalDropped,
      &kJournalDamaged,
      &kJournalFailing,
      &kEventsSuppressed,
      &kVirtual,
      &kThreads,
      &kStart,
      &kOpenFds,
      &kMaxFds,
      &kRemoteWriteSamples,
      &kRemoteWriteDropped,
      &kRemoteWriteRetried,
      &kRemoteWriteLost,
      &kRemoteWriteRequests,
      &kRemoteWriteFailed,
      &kRemoteWriteBytes,
      &kRemoteWritePending,
      &kRemoteWriteLag,
      &kRemoteWriteFailing,
      &kPublishFiles,
      &kPublishFailures,
      &kPublishAge,
      &kProbeBlind,
      &kProbeDropped,
      &kProbeLooks,
      &kProbeMissed,
      &kProbeRunning,
      &kProbeLag,
      &kProbeWaiting,
      &kProbeWriteErrors,
      &kVantageDropped,
  };
  return kAll;
}

}  // namespace self

namespace {

// Seconds. Whoever is later than the last of them has missed its turn.
constexpr double kLagEdges[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                0.1,   0.25,   0.5,   1,    2.5,   10};

prometheus::Labels ToLabels(absl::Span<const Label> labels) {
  prometheus::Labels out;
  for (const Label& label : labels) out.emplace(label.name, label.value);
  return out;
}

}  // namespace

void SelfCounter::Add(double value) const {
  static_cast<prometheus::Counter*>(counter_)->Increment(value);
}

// The library throws for names that are not valid, which the descriptors' are.
struct SelfMetrics::Library {
  prometheus::Registry registry;

  prometheus::Counter& CounterOf(const MetricDesc& desc, absl::Span<const Label> labels) {
    return prometheus::BuildCounter()
        .Name(std::string(desc.name))
        .Help(std::string(desc.help))
        .Register(registry)
        .Add(ToLabels(labels));
  }
  prometheus::Gauge& GaugeOf(const MetricDesc& desc, absl::Span<const Label> labels) {
    return prometheus::BuildGauge()
        .Name(std::string(desc.name))
        .Help(std::string(desc.help))
        .Register(registry)
        .Add(ToLabels(labels));
  }
};

SelfMetrics::SelfMetrics() : library_(std::make_unique<Library>()) {}
SelfMetrics::~SelfMetrics() = default;

SelfCounter SelfMetrics::Counter(const MetricDesc& desc, absl::Span<const Label> labels) {
  return SelfCounter(&library_->CounterOf(desc, labels));
}

void SelfMetrics::Count(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  library_->CounterOf(desc, labels).Increment(value);
}

void SelfMetrics::Set(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  if (desc.type != MetricType::kCounter) {
    library_->GaugeOf(desc, labels).Set(value);
    return;
  }
  prometheus::Counter& counter = library_->CounterOf(desc, labels);
  const double before = counter.Value();
  if (value > before) counter.Increment(value - before);
}

void SelfMetrics::Observe(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  prometheus::BuildHistogram()
      .Name(std::string(desc.name))
      .Help(std::string(desc.help))
      .Register(library_->registry)
      .Add(ToLabels(labels),
           prometheus::Histogram::BucketBoundaries(std::begin(kLagEdges), std::end(kLagEdges)))
      .Observe(value);
}

void SelfMetrics::AddSource(std::function<void(SelfMetrics&)> source) {
  MutexLock lock(mutex_);
  sources_.push_back(std::move(source));
}

void SelfMetrics::ClearSources() {
  MutexLock lock(mutex_);
  sources_.clear();
}

std::string SelfMetrics::Render() {
  MutexLock lock(mutex_);
  for (const auto& source : sources_) source(*this);
  std::vector<prometheus::MetricFamily> families = library_->registry.Collect();
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace fleet::collector
