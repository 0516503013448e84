#include "agent/outbox.h"

#include <algorithm>
#include <utility>

namespace fleet::agent {

Outbox::Outbox(uint64_t epoch, Clock& clock) : clock_(clock), epoch_(epoch) {}

std::optional<SteadyTime> Outbox::Add(std::shared_ptr<const Report> report) {
  MutexLock lock(mutex_);
  std::shared_ptr<const Report>& newest = newest_[report->check];
  const bool urgent =
      newest == nullptr || newest->verdict != report->verdict || newest->absent != report->absent;
  newest = report;
  if (!open_) return std::nullopt;
  pending_.push_back(std::move(report));
  if (pending_.size() > kPendingMax) {
    pending_.pop_front();
    ++dropped_;
  }
  const SteadyTime now = clock_.SteadyNow();
  const SteadyTime due = urgent ? now : SteadyAfter(now, kLinger);
  if (due_.has_value() && *due_ <= due) return std::nullopt;
  due_ = due;
  return due;
}

void Outbox::Open() {
  MutexLock lock(mutex_);
  open_ = true;
  encoder_.reset();
  pending_.clear();
  for (const auto& [check, report] : newest_) pending_.push_back(report);
}

void Outbox::Close() {
  MutexLock lock(mutex_);
  open_ = false;
  due_.reset();
  encoder_.reset();
  pending_.clear();
}

std::optional<Outbox::Batch> Outbox::Take() {
  MutexLock lock(mutex_);
  due_.reset();
  if (!open_ || pending_.empty()) return std::nullopt;
  const absl::Time now = clock_.Now();
  if (!encoder_.has_value() || encoder_->Full(now)) {
    encoder_.emplace(SegmentId{epoch_, next_segment_++}, now);
  }
  Batch batch;
  batch.segment = encoder_->id();
  batch.first_index = encoder_->next_index();
  while (!pending_.empty()) {
    if (!encoder_->Append(*pending_.front(), batch.records).ok()) ++dropped_;
    pending_.pop_front();
  }
  if (batch.records.empty()) return std::nullopt;
  return batch;
}

uint64_t Outbox::dropped() const {
  MutexLock lock(mutex_);
  return dropped_;
}

}  // namespace fleet::agent
