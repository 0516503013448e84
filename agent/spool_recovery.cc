// What the spool finds at its start: read in the background, oldest first.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "common/log.h"

namespace fleet::agent {
namespace {

constexpr size_t kAcksBytesMax = 16 << 20;

struct Found {
  std::vector<std::pair<SpoolFileName, uint64_t>> segments;  // with their bytes, oldest first
  std::vector<SpoolAck> acks;
};

/// Lists a spool's directory and tidies what no run of ours needs.
absl::StatusOr<Found> Look(FileSystem& files, const std::string& directory) {
  if (const absl::Status made = MakeDirectories(files, directory); !made.ok()) return made;
  const absl::StatusOr<std::vector<FileSystem::Entry>> entries = files.List(directory);
  if (!entries.ok()) return entries.status();
  Found found;
  std::vector<std::string> leftovers;
  std::vector<std::string> damaged;
  for (const FileSystem::Entry& entry : *entries) {
    if (absl::EndsWith(entry.name, ".new")) leftovers.push_back(entry.name);
    if (absl::EndsWith(entry.name, kSpoolDamagedSuffix)) damaged.push_back(entry.name);
    if (const auto name = ParseSpoolFileName(entry.name); name.ok()) {
      found.segments.emplace_back(*name, entry.bytes);
    }
  }
  std::sort(found.segments.begin(), found.segments.end(),
            [](const auto& a, const auto& b) { return a.first.sequence < b.first.sequence; });
  if (damaged.size() > Spool::kDamagedFilesMax) {
    leftovers.insert(leftovers.end(), damaged.begin(),
                     damaged.end() - static_cast<ptrdiff_t>(Spool::kDamagedFilesMax));
  }
  for (const std::string& name : leftovers) {
    files.Remove(absl::StrCat(directory, "/", name)).IgnoreError();  // they only take space
  }
  const std::string acks_path = absl::StrCat(directory, "/", kSpoolAcksFile);
  const absl::StatusOr<std::string> text = ReadWhole(files, acks_path, kAcksBytesMax);
  if (absl::IsNotFound(text.status())) return found;
  absl::StatusOr<std::vector<SpoolAck>> acks =
      text.ok() ? ParseSpoolAcks(*text) : absl::StatusOr<std::vector<SpoolAck>>(text.status());
  if (acks.ok()) {
    found.acks = *std::move(acks);
  } else {
    // Then everybody is sent everything again.
    log::Warning("the spool's acks cannot be read and are forgotten", {{"error", acks.status()}});
  }
  return found;
}

/// A file from its start, as far as the disk gives it.
struct ReadablePart {
  std::string bytes;
  absl::Status end;  // what stopped it; kOk at the file's end or the bound
};

ReadablePart ReadFromStart(FileSystem& files, const std::string& path, size_t bytes_max) {
  constexpr size_t kBlockBytes = 4096;
  absl::StatusOr<std::string> whole = files.Read(path, 0, bytes_max);
  if (whole.ok()) return {*std::move(whole), absl::OkStatus()};
  // A block of the disk may be gone; what lies before it is not.
  ReadablePart part{"", whole.status()};
  while (part.bytes.size() < bytes_max) {
    const auto block = files.Read(path, part.bytes.size(), kBlockBytes);
    if (!block.ok() || block->empty()) break;
    part.bytes += *block;
  }
  return part;
}

}  // namespace

void Spool::Prepare() {
  const absl::StatusOr<Found> found = Look(files_, options_.directory);
  MutexLock lock(mutex_);
  if (!found.ok()) return Failed(found.status());
  Worked();
  prepared_ = true;
  std::vector<SpoolSegmentPtr> segments;
  std::set<SegmentId> ids;
  for (const auto& [name, bytes] : found->segments) {
    next_sequence_ = std::max(next_sequence_, name.sequence + 1);
    auto segment = std::make_shared<SpoolSegment>();
    segment->name = name;
    segment->id = {name.epoch, name.number};
    // A copy that somebody made; the same reports would be sent as others.
    if (!ids.insert(segment->id).second) continue;
    segment->closed = segment->has_file = segment->named = true;
    segment->scanned = false;
    segment->bytes = bytes;
    segment->readers.resize(collectors_.size());
    segments.push_back(std::move(segment));
  }
  shelf_.AddOldest(segments);
  for (const SpoolAck& ack : found->acks) {
    const SpoolSegmentPtr segment = shelf_.Find({ack.epoch, ack.number});
    if (segment == nullptr || segment->scanned) continue;
    for (size_t c = 0; c < collectors_.size(); ++c) {
      if (collectors_[c].name == ack.collector) segment->readers[c].acked = ~uint64_t{0};
    }
  }
  if (segments.empty()) return Recovered();
  log::Info("the spool has segments of earlier runs", {{"segments", segments.size()}});
}

Spool::Job Spool::ScanJob() {
  if (recovered_) return nullptr;
  const SpoolSegmentPtr segment =
      shelf_.After(0, [](const SpoolSegment& one) { return !one.scanned; });
  if (segment == nullptr) {
    Recovered();
    return nullptr;
  }
  segment->busy = true;
  return [this, segment] { Scan(segment); };
}

void Spool::Scan(const SpoolSegmentPtr& segment) {
  const std::string path = PathOf(*segment);
  const ReadablePart part = ReadFromStart(files_, path, SegmentLimits().segment_bytes);
  const std::string& bytes = part.bytes;
  // Too little memory, too many files: no fault of the file's, the next start finds it again.
  const bool later = absl::IsResourceExhausted(part.end);
  const uint64_t size = std::max<uint64_t>(segment->bytes, bytes.size());
  ScanResult scan = ScanSegment(bytes);
  if (scan.damage.empty() && bytes.size() < size) {
    scan.damage = part.end.ok() ? "longer than any segment" : std::string(part.end.message());
  }
  const bool torn_header = part.end.ok() && bytes.size() < kSegmentHeaderBytes;
  const bool readable = !later && (torn_header || (scan.header && scan.id == segment->id));
  if (readable && scan.reports == 0) {
    files_.Remove(path).IgnoreError();  // found again at the next start
  } else if (readable && !scan.damage.empty()) {
    log::Warning("the end of a segment of the spool is damaged and cut",
                 {{"file", path},
                  {"offset", scan.good_bytes},
                  {"error", scan.damage},
                  {"lost_bytes", size - scan.good_bytes}});
    files_.Truncate(path, scan.good_bytes).IgnoreError();  // only the good bytes are used anyway
  } else if (later) {
    log::Warning("a segment of the spool cannot be read now; the next start tries again",
                 {{"file", path}, {"error", part.end}});
  } else if (!readable && !absl::IsNotFound(part.end)) {
    log::Warning("a segment of the spool cannot be read and is set aside",
                 {{"file", path}, {"error", scan.damage}});
    files_.Rename(path, absl::StrCat(path, kSpoolDamagedSuffix)).IgnoreError();
  }
  MutexLock lock(mutex_);
  segment->busy = false;
  if (!later && !absl::IsNotFound(part.end)) {
    damaged_bytes_ += size - (readable ? scan.good_bytes : 0);
  }
  FinishScan(segment, readable ? scan : ScanResult());
}

void Spool::FinishScan(const SpoolSegmentPtr& segment, const ScanResult& scan) {
  segment->scanned = true;
  if (segment->gone) return;
  if (scan.reports == 0) {
    shelf_.Remove(segment);
    return;
  }
  segment->created = scan.created;
  segment->reports = segment->file_reports = segment->synced_reports = scan.reports;
  segment->bytes = segment->file_bytes = segment->synced_bytes = scan.good_bytes;
  segment->tail_offset = scan.good_bytes;
  segment->tail_index = scan.reports;
  for (SpoolSegment::Reader& reader : segment->readers) {
    reader.acked = std::min(reader.acked, scan.reports);
  }
  if (segment->done()) Retire(segment);
}

void Spool::Recovered() {
  recovered_ = true;
  EnforceBounds();
  for (const Collector& collector : collectors_) {
    if (collector.wake) collector.wake(absl::ZeroDuration());
  }
}

}  // namespace fleet::agent
