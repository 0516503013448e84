#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// The path of hook_receiver.py.
std::string HookReceiverScript();

/// Runs tests/support/hook_receiver.py: a real server for webhooks and pulses.
class HookReceiver {
 public:
  HookReceiver() { Start(); }

  /// Starts it (again, on the port it had).
  void Start() {
    std::vector<std::string> argv = {"python3", HookReceiverScript(), dir_.path()};
    if (port_ != 0) argv.push_back(absl::StrCat(port_));
    Process::Options options;
    options.output_path = dir_ / "output";
    process_ = std::make_unique<Process>(argv, options);
    EXPECT_TRUE(WaitFor([this] {
      return absl::SimpleAtoi(ReadFile(dir_ / "port"), &port_) && AcceptsConnections(Port());
    })) << ReadFile(dir_ / "output");
  }
  void Stop() {
    process_->Kill(SIGKILL);
    process_->Wait(absl::Seconds(10));
  }

  uint16_t Port() const { return static_cast<uint16_t>(port_); }
  std::string url(absl::string_view path) const {
    return absl::StrCat("http://127.0.0.1:", port_, path);
  }
  /// How it feels from now on; see hook_receiver.py.
  void Set(const nlohmann::json& state) {
    { std::ofstream(dir_ / "state.new") << state.dump(); }
    EXPECT_EQ(std::rename((dir_ / "state.new").c_str(), (dir_ / "state").c_str()), 0);
  }
  /// Every request so far, of one path.
  std::vector<nlohmann::json> Requests(absl::string_view path = "") const {
    std::vector<nlohmann::json> requests;
    const std::string log = ReadFile(dir_ / "log");
    for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      nlohmann::json one = nlohmann::json::parse(std::string(line), nullptr, false);
      if (one.is_discarded()) continue;
      const std::string its = one["path"];
      if (path.empty() || its.substr(0, its.find('?')) == path) requests.push_back(std::move(one));
    }
    return requests;
  }
  /// The events that it has taken, in their order.
  std::vector<nlohmann::json> Events(absl::string_view path) const {
    std::vector<nlohmann::json> events;
    for (const nlohmann::json& request : Requests(path)) {
      if (request["code"] != 200) continue;
      for (nlohmann::json& event : nlohmann::json::parse(std::string(request["body"]))) {
        events.push_back(std::move(event));
      }
    }
    return events;
  }

 private:
  TempDir dir_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace fleet::test
