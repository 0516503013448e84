#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/test_agent.h"

/// What must go on as if nothing was, while somebody else does harm.
namespace fleet::test {

/// Reports without a pause, each after the ack of the one before.
class HonestHost {
 public:
  HonestHost(uint16_t port, const TlsIdentity& tls)
      : agent_({.port = port, .host = "honest", .tls = tls, .deadline = absl::Minutes(10)}) {
    connected_ = agent_.Connect();
    if (connected_.ok()) thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
  const absl::Status& connected() const { return connected_; }
  int acked() const { return acked_; }
  /// Ends it. Returns why it ended before, if it did.
  absl::Status Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return end_;
  }
  absl::Duration slowest() const { return slowest_; }

 private:
  void Run(const std::stop_token& stop) {
    for (int i = 1; !stop.stop_requested(); ++i) {
      const absl::Time start = absl::Now();
      end_ = agent_.Send(MakeReport("disk", i));
      if (!end_.ok()) return;
      slowest_ = std::max(slowest_, absl::Now() - start);
      acked_ = i;
    }
  }

  TestAgent agent_;
  absl::Status connected_;
  std::atomic<int> acked_ = 0;
  absl::Status end_;        // after Stop
  absl::Duration slowest_;  // after Stop
  std::jthread thread_;
};

/// Asks for /metrics ten times a second.
class Scraper {
 public:
  explicit Scraper(std::string url)
      : url_(std::move(url)), thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  /// Ends it. Returns the longest that an answer took.
  absl::Duration Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return slowest_;
  }

 private:
  void Run(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any pause;
    while (!stop.stop_requested()) {
      const absl::Time start = absl::Now();
      EXPECT_EQ(HttpGet(url_).code, 200);
      slowest_ = std::max(slowest_, absl::Now() - start);
      std::unique_lock lock(mutex);
      pause.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
    }
  }

  const std::string url_;
  absl::Duration slowest_;  // after Stop
  std::jthread thread_;
};

}  // namespace fleet::test
