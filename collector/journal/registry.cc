#include "collector/journal/registry.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace fleet::collector {

const HostRegistry::Segment* HostRegistry::Find(const SegmentId& id) const {
  const auto epoch = epochs_.find(id.epoch);
  if (epoch == epochs_.end()) return nullptr;
  const auto segment = epoch->second.segments.find(id.number);
  return segment == epoch->second.segments.end() ? nullptr : &segment->second;
}

HostRegistry::Progress HostRegistry::Of(const SegmentId& id) const {
  const auto epoch = epochs_.find(id.epoch);
  if (epoch == epochs_.end()) return {};
  if (id.number < epoch->second.floor) return {0, 0, true};
  const auto segment = epoch->second.segments.find(id.number);
  if (segment == epoch->second.segments.end()) return {};
  return {segment->second.accepted, segment->second.durable, false};
}

bool HostRegistry::Closed(const SegmentId& id) const {
  const auto epoch = epochs_.find(id.epoch);
  if (epoch == epochs_.end() || !epoch->second.expected) return true;
  if (id.number < epoch->second.floor) return true;
  const Segment* segment = Find(id);
  return segment != nullptr && segment->last && segment->durable == segment->accepted;
}

HostRegistry::Epoch& HostRegistry::Use(uint64_t epoch) {
  Epoch& entry = epochs_[epoch];
  entry.used = ++uses_;
  return entry;
}

/// Forgets the epoch that is least likely to come again. False when all are expected.
bool HostRegistry::Evict(uint64_t but) {
  auto oldest = epochs_.end();
  for (auto it = epochs_.begin(); it != epochs_.end(); ++it) {
    const auto& [number, epoch] = *it;
    if (number == but || epoch.expected) continue;
    if (oldest == epochs_.end() || epoch.used < oldest->second.used) oldest = it;
  }
  if (oldest == epochs_.end()) return false;
  segments_ -= oldest->second.segments.size();
  epochs_.erase(oldest);
  return true;
}

absl::Status HostRegistry::Admit(const SegmentId& id) {
  if (Find(id) != nullptr) return absl::OkStatus();
  const auto full = [&] {
    return segments_ >= kSegmentsMax ||
           (epochs_.size() >= kEpochsMax && epochs_.find(id.epoch) == epochs_.end());
  };
  while (full()) {
    if (!Evict(id.epoch)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the host has ", segments_, " unfinished segments of ", epochs_.size(),
                       " epochs: connect again to say which of them still exist"));
    }
  }
  return absl::OkStatus();
}

/// Takes what is complete at the floor into it.
void HostRegistry::Settle(Epoch& epoch) {
  while (!epoch.segments.empty()) {
    const auto& [number, segment] = *epoch.segments.begin();
    if (number > epoch.floor) return;
    if (number == epoch.floor) {
      if (!segment.last || segment.durable < segment.accepted) return;
      ++epoch.floor;
    }
    epoch.segments.erase(epoch.segments.begin());
    --segments_;
  }
}

void HostRegistry::RaiseFloor(Epoch& epoch, uint64_t floor) {
  epoch.floor = std::max(epoch.floor, floor);
  Settle(epoch);
}

void HostRegistry::Accept(const SegmentId& id, uint64_t next, bool last) {
  Epoch& epoch = Use(id.epoch);
  epoch.expected = true;
  const auto [place, is_new] = epoch.segments.try_emplace(id.number);
  if (is_new) ++segments_;
  place->second.accepted = std::max(place->second.accepted, next);
  place->second.last |= last;
}

void HostRegistry::MakeDurable(const SegmentId& id, uint64_t next) {
  const auto epoch = epochs_.find(id.epoch);
  if (epoch == epochs_.end()) return;
  const auto segment = epoch->second.segments.find(id.number);
  if (segment == epoch->second.segments.end()) return;
  segment->second.durable = std::max(segment->second.durable, next);
  Settle(epoch->second);
}

void HostRegistry::Recover(const SegmentId& id, uint64_t next, bool last) {
  const Progress known = Of(id);
  if (known.over || !Admit(id).ok()) return;
  const bool expected = epochs_.find(id.epoch) == epochs_.end() || epochs_[id.epoch].expected;
  Accept(id, next, last);
  epochs_[id.epoch].expected = expected;
  MakeDurable(id, next);
}

/// An agent writes one segment at a time, so when one is whole all lower ones have ended, and a
/// hello names each that still exists.
void HostRegistry::RaiseOverWhole(Epoch& epoch) {
  for (auto it = epoch.segments.rbegin(); it != epoch.segments.rend(); ++it) {
    if (!it->second.last || it->second.durable < it->second.accepted) continue;
    RaiseFloor(epoch, it->first + (it->first < UINT64_MAX ? 1 : 0));
    return;
  }
}

void HostRegistry::Announce(uint64_t epoch, const std::vector<AnnouncedSegment>& spool) {
  absl::flat_hash_map<uint64_t, uint64_t> first;
  for (const AnnouncedSegment& segment : spool) {
    const auto [place, is_new] = first.try_emplace(segment.id.epoch, segment.id.number);
    if (!is_new) place->second = std::min(place->second, segment.id.number);
  }
  for (auto& [number, known] : epochs_) {
    const auto named = first.find(number);
    known.expected = named != first.end() || number == epoch;
    if (named != first.end()) {
      RaiseFloor(known, named->second);
    } else {
      RaiseOverWhole(known);
    }
  }
  announced_.clear();
  for (const AnnouncedSegment& segment : spool) {
    const auto known = epochs_.find(segment.id.epoch);
    if (known != epochs_.end()) {
      const auto place = known->second.segments.find(segment.id.number);
      if (place != known->second.segments.end() && place->second.accepted >= segment.reports) {
        place->second.last = true;
        Settle(known->second);
      }
    }
    // A host that announces more loses only the knowledge of what is still to come.
    if (announced_.size() < kAnnouncedMax) announced_.push_back(segment);
  }
}

void HostRegistry::Put(std::string& out) const {
  segment::PutVarint(epochs_.size(), out);
  for (const auto& [number, epoch] : epochs_) {
    segment::PutFixed<uint64_t>(number, out);
    segment::PutVarint(epoch.floor, out);
    segment::PutVarint(epoch.expected ? 1 : 0, out);
    segment::PutVarint(epoch.segments.size(), out);
    for (const auto& [segment_number, segment] : epoch.segments) {
      segment::PutVarint(segment_number, out);
      segment::PutVarint(segment.durable, out);
      segment::PutVarint(segment.last && segment.durable == segment.accepted ? 1 : 0, out);
    }
  }
}

bool HostRegistry::Get(segment::Reader& in) {
  const uint64_t epochs = in.Varint();
  for (uint64_t i = 0; i < epochs && in.ok(); ++i) {
    Epoch& epoch = epochs_[in.Fixed<uint64_t>()];
    epoch.floor = in.Varint();
    epoch.expected = in.Varint() != 0;
    epoch.used = ++uses_;
    const uint64_t segments = in.Varint();
    for (uint64_t k = 0; k < segments && in.ok(); ++k) {
      Segment& segment = epoch.segments[in.Varint()];
      segment.accepted = segment.durable = in.Varint();
      segment.last = in.Varint() != 0;
    }
    segments_ += epoch.segments.size();
  }
  return in.ok() && epochs_.size() == epochs;
}

}  // namespace fleet::collector
