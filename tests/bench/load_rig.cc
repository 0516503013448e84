#include "tests/bench/load_rig.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "common/segment/encoder.h"
#include "common/status_macros.h"

namespace fleet::bench {
namespace {

constexpr size_t kTimelines = 4;

}  // namespace

Timeline MakeTimeline(const std::vector<Round>& rounds, size_t offset, size_t count,
                      absl::Duration interval) {
  Timeline timeline;
  Round live = rounds[0];
  const absl::Time start = absl::Now();
  std::optional<SegmentEncoder> encoder;
  uint64_t segment = 0;
  for (size_t n = 0; n < count; ++n) {
    const Round& round = rounds[(offset + n) % rounds.size()];
    const absl::Time now = start + interval * static_cast<double>(n);
    if (!encoder.has_value() || encoder->Full(now)) encoder.emplace(SegmentId{1, segment++}, now);
    Timeline::Message& message = timeline.messages.emplace_back();
    v1::Records& records = *message.message.mutable_records();
    records.set_epoch(1);
    records.set_segment(encoder->id().number);
    records.set_first_index(encoder->next_index());
    records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(start - absl::UnixEpoch()));
    for (size_t i = 0; i < round.size(); ++i) {
      live[i].start = now;
      live[i].duration = round[i].duration;
      live[i].reason = round[i].reason;
      live[i].items = round[i].items;
      live[i].samples.SetValues(round[i].samples.values());
      FLEET_ASSERT(encoder->Append(live[i], *records.mutable_data()).ok());
      message.samples += live[i].samples.size();
    }
    message.segment = encoder->id().number;
    message.end_index = encoder->next_index();
  }
  return timeline;
}

std::vector<Timeline> MakeTimelines(size_t rounds_each) {
  const std::vector<Round> rounds = LoadTrace(1);
  std::vector<Timeline> timelines;
  for (size_t i = 0; i < kTimelines; ++i) {
    timelines.push_back(
        MakeTimeline(rounds, i * rounds.size() / kTimelines, rounds_each, absl::Seconds(1)));
  }
  return timelines;
}

void WaitForWelcome(const Agents& agents) {
  FLEET_ASSERT(test::WaitFor(
      [&] {
        return std::all_of(agents.begin(), agents.end(),
                           [](const auto& agent) { return agent->welcome(); });
      },
      kPatience));
}

double Play(const Agents& agents, size_t count, absl::Duration span) {
  const absl::Time start = absl::Now();
  for (const auto& agent : agents) agent->Play(count, start + span);
  FLEET_ASSERT(test::WaitFor(
      [&] {
        return std::all_of(agents.begin(), agents.end(),
                           [](const auto& agent) { return agent->idle(); });
      },
      span + kPatience));
  return absl::ToDoubleSeconds(absl::Now() - start);
}

size_t AckedSamples(const Agents& agents) {
  size_t samples = 0;
  for (const auto& agent : agents) samples += agent->acked_samples();
  return samples;
}

uint64_t BytesSent() {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    int fd = -1;
    tcp_info info = {};
    socklen_t size = sizeof(info);
    if (absl::SimpleAtoi(entry.path().filename().string(), &fd) &&
        ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
      bytes += info.tcpi_bytes_acked;
    }
  }
  return bytes;
}

}  // namespace fleet::bench
