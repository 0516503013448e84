#include "tests/support/browser.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace fleet::test {

using nlohmann::json;

std::string Browser::Missing() {
  for (const char* program : {"chromium", "chromedriver"}) {
    if (!HasProgram(program)) return absl::StrCat("no ", program);
  }
  return "";
}

Browser::Browser(const Options& options) : port_(FreePort()) {
  Process::Options started;
  started.output_path = dir_ / "driver.log";
  // Chromium wants a home to write to, and leaves its crash reports there.
  started.environment = {{"HOME", dir_ / ""}, {"TMPDIR", dir_ / ""}};
  driver_ = std::make_unique<Process>(
      std::vector<std::string>{"chromedriver", absl::StrCat("--port=", port_)}, started);
  EXPECT_TRUE(WaitFor([&] { return AcceptsConnections(port_); })) << ReadFile(dir_ / "driver.log");
  json chrome = {
      {"args",
       {"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--force-color-profile=srgb", "--hide-scrollbars", "--no-proxy-server",
        "--disable-background-networking", "--disable-component-update",
        absl::StrCat("--user-data-dir=", dir_ / "profile")}},
  };
  if (!options.javascript) {
    chrome["prefs"] = {{"profile.managed_default_content_settings.javascript", 2}};
  }
  const json reply =
      Call("POST", "/session",
           {{"capabilities",
             {{"alwaysMatch",
               {{"browserName", "chrome"},
                {"goog:chromeOptions", chrome},
                {"goog:loggingPrefs", {{"browser", "ALL"}, {"performance", "ALL"}}}}}}}});
  session_ = reply.value("sessionId", "");
  EXPECT_NE(session_, "") << reply.dump();
  DevTools("Emulation.setDeviceMetricsOverride", {{"width", options.width},
                                                  {"height", options.height},
                                                  {"deviceScaleFactor", 1},
                                                  {"mobile", options.width < 600}});
  DevTools("Emulation.setEmulatedMedia",
           {{"features",
             {{{"name", "prefers-color-scheme"}, {"value", options.dark ? "dark" : "light"}}}}});
}

Browser::~Browser() {
  // Chromium ends with its session; the driver alone would leave it behind.
  if (!session_.empty()) Call("DELETE", absl::StrCat("/session/", session_));
}

json Browser::Call(const std::string& method, const std::string& path, const json& body) {
  HttpRequest request;
  request.method = method;
  request.url = absl::StrCat("http://127.0.0.1:", port_, path);
  request.timeout = absl::Seconds(60);
  request.body_bytes_max = 64 << 20;
  if (method == "POST") {
    request.headers = {{"Content-Type", "application/json"}};
    request.body = body.dump();
  }
  const auto response = client_.Fetch(request);
  if (!response.ok()) {
    ADD_FAILURE() << path << ": " << response.status();
    return json::object();
  }
  json reply = json::parse(response->body, nullptr, false);
  EXPECT_EQ(response->code, 200) << path << ": " << response->body.substr(0, 2000);
  return reply.is_object() && reply.contains("value") ? reply["value"] : json::object();
}

void Browser::Open(const std::string& url) {
  Call("POST", absl::StrCat("/session/", session_, "/url"), {{"url", url}});
}

json Browser::Run(absl::string_view script) {
  return Call("POST", absl::StrCat("/session/", session_, "/execute/sync"),
              {{"script", std::string(script)}, {"args", json::array()}});
}

std::string Browser::Text(absl::string_view selector) {
  const json text =
      Run(absl::StrCat("const e = document.querySelector(", json(std::string(selector)).dump(),
                       "); return e && e.checkVisibility() ? e.innerText : '';"));
  return text.is_string() ? text.get<std::string>() : "";
}

json Browser::DevTools(const std::string& command, const json& parameters) {
  return Call("POST", absl::StrCat("/session/", session_, "/goog/cdp/execute"),
              {{"cmd", command}, {"params", parameters}});
}

void Browser::Screenshot(const std::string& path) {
  const json shot =
      DevTools("Page.captureScreenshot", {{"format", "png"}, {"captureBeyondViewport", true}});
  std::string png;
  EXPECT_TRUE(absl::Base64Unescape(shot.value("data", ""), &png));
  WriteFile(path, png);
}

json Browser::LogOf(const std::string& type) {
  return Call("POST", absl::StrCat("/session/", session_, "/se/log"), {{"type", type}});
}

std::vector<std::string> Browser::Complaints() {
  std::vector<std::string> found;
  for (const json& entry : LogOf("browser")) {
    found.push_back(absl::StrCat(entry.value("level", ""), " ", entry.value("message", "")));
  }
  return found;
}

std::vector<std::string> Browser::Requested() {
  std::vector<std::string> found;
  for (const json& entry : LogOf("performance")) {
    const json message = json::parse(entry.value("message", "{}"))["message"];
    if (message.value("method", "") != "Network.requestWillBeSent") continue;
    const std::string url = message["params"]["request"].value("url", "");
    if (!absl::StartsWith(url, "data:") && !absl::StartsWith(url, "chrome:")) found.push_back(url);
  }
  return found;
}

}  // namespace fleet::test
