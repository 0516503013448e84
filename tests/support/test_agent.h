#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/clock.h"
#include "common/report.h"
#include "common/segment/encoder.h"
#include "fleet/v1/ingest.pb.h"
#include "tests/support/test_ca.h"

namespace fleet::test {

/// A small agent in the test's hand: one stream to a collector on 127.0.0.1, every step waited for.
class TestAgent {
 public:
  struct Options {
    uint16_t port = 0;
    std::string host;
    v1::Hello::Lane lane = v1::Hello::LANE_LIVE;
    uint64_t epoch = 1;
    std::optional<TlsIdentity> tls = std::nullopt;
    Clock* clock = &Clock::Real();               // that judges the collector's certificate
    absl::Duration deadline = absl::Minutes(1);  // of the stream
  };

  explicit TestAgent(Options options);
  ~TestAgent();

  /// Opens the stream and says hello. Returns the collector's refusal, or fills the welcome.
  absl::Status Connect(v1::Welcome* welcome = nullptr);
  /// Encodes and sends one report and waits for its ack. Returns why the stream ended, if it did.
  absl::Status Send(const Report& report);
  /// Sends anything at all; `wait` for an answer.
  absl::Status SendMessage(const v1::AgentMessage& message, bool wait = true);
  /// Says that no more will come and waits for the end.
  absl::Status Finish();
  /// Waits until the collector ends the stream.
  absl::Status WaitForEnd();

  const v1::Ack& last_ack() const { return last_ack_; }
  /// The records of `report` as Send would send them.
  v1::AgentMessage Encode(const Report& report);

 private:
  struct Call;

  absl::Status End();

  const Options options_;
  SegmentEncoder encoder_;
  std::unique_ptr<Call> call_;
  v1::Ack last_ack_;
};

/// A report with one sample and one item.
Report MakeReport(absl::string_view check, double value, Verdict verdict = Verdict::kOk,
                  absl::string_view reason = "");

}  // namespace fleet::test
