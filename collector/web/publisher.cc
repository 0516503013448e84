#include "collector/web/publisher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/units.h"

namespace fleet::collector {

Publisher::Publisher(absl::Span<const PublishOptions> targets, Web& web, Clock& clock)
    : web_(web), clock_(clock) {
  for (const PublishOptions& options : targets) {
    auto track = std::make_unique<Track>();
    track->name = options.name;
    track->target =
        options.directory.empty() ? MakeBucketTarget(options) : MakeDirectoryTarget(options);
    {
      MutexLock lock(track->mutex);
      track->newest = clock_.Now();
    }
    tracks_.push_back(std::move(track));
  }
  for (const std::unique_ptr<Track>& track : tracks_) {
    track->thread =
        std::jthread([this, &track = *track](const std::stop_token& stop) { Loop(track, stop); });
  }
}

Publisher::~Publisher() {
  for (const std::unique_ptr<Track>& track : tracks_) track->thread.request_stop();
}

void Publisher::Loop(Track& track, const std::stop_token& stop) {
  uint64_t done = 0;
  while (!stop.stop_requested()) {
    const std::shared_ptr<const WebFiles> files = web_.WaitForNext(done, stop);
    if (stop.stop_requested()) return;
    const absl::Status status = Round(track, *files, stop);
    if (stop.stop_requested()) return;
    if (status.ok()) done = files->number;
    const absl::Duration pause = Judge(track, *files, status);
    MutexLock lock(track.mutex);
    clock_.WaitUntil(track.mutex, track.wake, stop, SteadyAfter(clock_.SteadyNow(), pause),
                     [] { return false; });
  }
}

absl::Status Publisher::Round(Track& track, const WebFiles& files, const std::stop_token& stop) {
  const SteadyTime now = clock_.SteadyNow();
  std::vector<PublishTarget::Named> due;
  for (const auto& [name, file] : files.by_name) {
    if (!file->published) continue;
    const auto sent = track.sent.find(name);
    const bool known = sent != track.sent.end() && sent->second.etag == file->etag &&
                       now - sent->second.at < kRepeatEvery;
    if (!known || file->has_validity) due.emplace_back(name, file);
  }
  const std::vector<absl::Status> results = track.target->Put(due, stop);
  absl::Status worst;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto& [name, file] = due[i];
    if (results[i].ok()) {
      ++track.files;
      track.sent[name] = {file->etag, now};
    } else {
      ++track.failures;
      track.sent.erase(name);
      if (worst.ok()) {
        worst = absl::Status(results[i].code(), absl::StrCat(name, ": ", results[i].message()));
      }
    }
  }
  return worst;
}

absl::Duration Publisher::Judge(Track& track, const WebFiles& files, const absl::Status& status) {
  MutexLock lock(track.mutex);
  if (status.ok()) {
    if (track.failed_rounds > 0) log::Info("publishing works again", {{"target", track.name}});
    track.failed_rounds = 0;
    track.error.clear();
    track.newest = files.generated_at;
    return kGapMin;
  }
  track.error = OneLine(std::string(status.message()));
  if (track.failed_rounds == 0) {
    log::Warning("publishing failed", {{"target", track.name}, {"error", track.error}});
  }
  ++track.failed_rounds;
  const int doublings = std::min(track.failed_rounds - 1, 10);
  return std::min(kPauseFirst * (1 << doublings), kPauseMax);
}

void Publisher::SetMetrics(SelfMetrics& metrics) const {
  for (const std::unique_ptr<Track>& track : tracks_) {
    const std::vector<Label> labels = {{"target", track->name}};
    metrics.Set(self::kPublishFiles, labels, static_cast<double>(track->files.load()));
    metrics.Set(self::kPublishFailures, labels, static_cast<double>(track->failures.load()));
    MutexLock lock(track->mutex);
    metrics.Set(self::kPublishAge, labels, absl::ToDoubleSeconds(clock_.Now() - track->newest));
  }
}

void Publisher::AddNotes(std::vector<std::string>& notes) const {
  for (const std::unique_ptr<Track>& track : tracks_) {
    MutexLock lock(track->mutex);
    if (track->failed_rounds < kFailuresNoted) continue;
    notes.push_back(absl::StrCat("publish: ", track->name, " has had no new status page for ",
                                 HumanDuration(clock_.Now() - track->newest), ": ", track->error));
  }
}

}  // namespace fleet::collector
