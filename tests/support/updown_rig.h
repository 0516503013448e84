#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/http/http_server.h"
#include "collector/http/routes.h"
#include "collector/updown/updown_api.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"

namespace fleet::test {

/// The updown API over probes that a test sets, on a port of its own.
class UpdownRig {
 public:
  explicit UpdownRig(collector::CheckRights rights = {}) {
    auto store = collector::UpdownStore::Open(
        "", {collector::ConfiguredWebhook("webhook", "ours", "https://hooks.example/a")});
    EXPECT_THAT(store, IsOk());
    store_ = *std::move(store);
    api_ = std::make_unique<collector::UpdownApi>(
        collector::UpdownApi::Parts{.probes = probes,
                                    .store = *store_,
                                    .keys = keys_,
                                    .clock = clock,
                                    .rights = std::move(rights)});
    routes_.Add(api_->MakeRoutes());
    collector::HttpServer::Options options;
    options.listen = {"127.0.0.1", 0};
    auto server = collector::HttpServer::Start(
        std::move(options),
        [this](const collector::HttpRequest& request) { return routes_.Answer(request); },
        Clock::Real());
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }

  /// Paths of other parts; before traffic.
  void AddRoutes(std::vector<collector::Routes::Route> routes) { routes_.Add(std::move(routes)); }

  uint16_t port() const { return server_->address().port; }
  std::string url(absl::string_view path) const {
    return absl::StrCat("http://127.0.0.1:", port(), path);
  }
  HttpReply Get(absl::string_view path, HttpHeaders headers = {{"X-API-KEY", kReadKey}}) const {
    return HttpGet(port(), path, headers);
  }
  HttpReply Send(absl::string_view method, absl::string_view path, absl::string_view body,
                 absl::string_view type = "application/x-www-form-urlencoded",
                 absl::string_view key = kFullKey) const {
    return HttpSend(port(), method, path, body,
                    {{"X-API-KEY", std::string(key)}, {"Content-Type", std::string(type)}});
  }

  static constexpr char kFullKey[] = "0123456789abcdef";
  static constexpr char kReadKey[] = "ro-0123456789abcdef";

  FakeClock clock;
  FakeProbes probes;

 private:
  collector::AccessKeys keys_{std::vector<std::string>{kFullKey, kReadKey}};
  collector::FleetState state_{clock, {}};
  collector::SelfMetrics metrics_;
  collector::Routes routes_{state_, metrics_, keys_};
  std::unique_ptr<collector::UpdownStore> store_;
  std::unique_ptr<collector::UpdownApi> api_;
  std::unique_ptr<collector::HttpServer> server_;
};

}  // namespace fleet::test
