#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/http_client.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// Debian's headless Chromium, driven through chromedriver. Aborts the test's expectations (an
/// EXPECT fails) when a command does; used by one thread.
class Browser {
 public:
  struct Options {
    int width = 1100;
    int height = 900;
    bool dark = false;
    bool javascript = true;
  };
  /// What this machine lacks to run it; empty when nothing.
  static std::string Missing();

  explicit Browser(const Options& options);
  ~Browser();

  /// Goes there and waits until the page is loaded.
  void Open(const std::string& url);
  /// What a script's `return` gives. With JavaScript off too: it is the driver's.
  nlohmann::json Run(absl::string_view script);
  /// The text that one sees of the first element of that CSS selector; empty without one.
  std::string Text(absl::string_view selector);
  /// Writes the whole page, beyond the window too, as a PNG.
  void Screenshot(const std::string& path);
  /// What the console has complained about since the last call.
  std::vector<std::string> Complaints();
  /// Every URL asked for since the last call, data: and its own chrome: left out.
  std::vector<std::string> Requested();
  /// A command of the DevTools protocol.
  nlohmann::json DevTools(const std::string& command, const nlohmann::json& parameters);

 private:
  nlohmann::json Call(const std::string& method, const std::string& path,
                      const nlohmann::json& body = nlohmann::json::object());
  nlohmann::json LogOf(const std::string& type);

  TempDir dir_;
  uint16_t port_ = 0;
  HttpClient client_;
  std::string session_;
  std::unique_ptr<Process> driver_;
};

}  // namespace fleet::test
