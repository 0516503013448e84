#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/spool.h"
#include "common/segment/decoder.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forgetful_file_system.h"

namespace fleet::test {

/// A run of the machine that a test begins and lets pass.
class FakeBootClock final : public agent::BootClock {
 public:
  explicit FakeBootClock(FakeClock& clock) : clock_(clock), origin_(clock.SteadyNow()) {}
  uint32_t id() const override { return id_; }
  absl::Duration Uptime() const override { return clock_.SteadyNow() - origin_; }
  void Reboot() {
    ++id_;
    origin_ = clock_.SteadyNow();
  }

 private:
  FakeClock& clock_;
  SteadyTime origin_;
  uint32_t id_ = 0x1c2d3e4f;
};

/// The report of one run of `check` with one value.
inline Report SpoolReport(const std::string& check, double value, absl::Time start,
                          Verdict verdict = Verdict::kOk) {
  static constexpr MetricDesc kGauge = {"node_load1", MetricType::kGauge, "1m load average."};
  Report report;
  report.check = check;
  report.start = start;
  report.verdict = verdict;
  report.interval = absl::Seconds(10);
  report.samples.Add(kGauge, {}, value);
  return report;
}

/// What a collector makes of what it is sent, by the rules of the wire: chunks of a segment follow
/// each other, the first one starts it; reports it has are ignored.
class FakeReader {
 public:
  /// Takes a batch of one stream. Returns "check value" of each report that is new.
  std::vector<std::string> Take(const agent::Spool::Batch& batch) {
    if (segment_ != batch.segment || batch.first_index == 0) {
      decoder_ = std::make_unique<SegmentDecoder>();
      segment_ = batch.segment;
    }
    std::vector<std::string> lines;
    if (decoder_->next_index() != batch.first_index) return {"a gap"};
    const absl::Status status = decoder_->Feed(batch.records, [&](const DecodedReport& report) {
      lines.push_back(absl::StrCat(report.check, " ", report.values()[0]));
      return absl::OkStatus();
    });
    if (!status.ok()) lines.emplace_back(status.message());
    return lines;
  }
  uint64_t next_index() const { return decoder_->next_index(); }

 private:
  SegmentId segment_{~uint64_t{0}, ~uint64_t{0}};
  std::unique_ptr<SegmentDecoder> decoder_;
};

/// A spool without a thread on a disk that forgets, and the clocks it goes by.
class SpoolFixture {
 public:
  explicit SpoolFixture(uint64_t seed = 1) : files(seed) {}

  /// Starts a process: a new epoch.
  void Start() {
    agent::SpoolOptions start = options;
    start.epoch = ++epoch;
    start.thread = false;
    spool = std::make_unique<agent::Spool>(start, files, clock, boot);
  }
  /// Lets the spool do with the disk what is due now.
  void Settle() {
    while (spool->Work()) {
    }
  }
  /// Lets `span` pass, and the spool work.
  void Pass(absl::Duration span) {
    clock.Advance(span);
    Settle();
  }
  void Add(const std::string& check, double value, Verdict verdict = Verdict::kOk) {
    spool->Add(SpoolReport(check, value, clock.Now(), verdict));
  }
  /// Everything that one collector's backlog brings, acked on arrival or not.
  std::vector<std::string> Drain(size_t collector, bool ack = true) {
    std::vector<std::string> lines;
    FakeReader reader;
    spool->OpenBacklog(collector);
    Settle();
    while (auto batch = spool->TakeBacklog(collector)) {
      const std::vector<std::string> taken = reader.Take(*batch);
      lines.insert(lines.end(), taken.begin(), taken.end());
      if (ack) spool->Ack(collector, batch->segment, reader.next_index());
      Settle();
    }
    spool->CloseBacklog(collector);
    return lines;
  }
  std::vector<std::string> FileNames() {
    std::vector<std::string> names;
    const auto entries = files.List(options.directory);
    if (!entries.ok()) return names;
    for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    return names;
  }

  FakeClock clock;
  FakeBootClock boot{clock};
  ForgetfulFileSystem files;
  agent::SpoolOptions options = {.directory = "/var/spool", .collectors = {"a:1"}};
  uint64_t epoch = 0;
  std::unique_ptr<agent::Spool> spool;
};

}  // namespace fleet::test
