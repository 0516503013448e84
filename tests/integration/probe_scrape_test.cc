// Every kind of probe, scraped by what /sd/probes hands out, says what its scheduled looks say.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "common/http_client.h"
#include "tests/support/exposition_parser.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

using nlohmann::json;

TEST(ProbeScrapeTest, AScrapeAsksWhatThePlanAsks) {
  if (!WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
  WebServer web;
  ASSERT_TRUE(web.Serve("return 200 hello;"));
  const std::string there = absl::StrCat("127.0.0.1:", web.port());
  const std::string nobody = absl::StrCat("127.0.0.1:", FreePort());
  const TempDir dir;
  const CollectorProcess collector(
      dir,
      absl::StrCat(
          "insecure: true\nprobes:\n",                                                           //
          "- {name: web, token: web, method: GET, url: \"http://", there, "/\", period: 1s}\n",  //
          "- {name: gone, token: gone, url: \"http://", nobody, "/\", period: 1s}\n",            //
          "- {name: text, token: text, url: \"http://", there,                                   //
          "/\", string_match: absent, period: 1s}\n",                                            //
          "- {name: port, token: port, url: \"tcp://", there, "\", period: 1s}\n",               //
          "- {name: shut, token: shut, url: \"tcp://", nobody, "\", expect: closed, period: 1s}\n",
          "- {name: open, token: open, url: \"tcp://", there, "\", expect: closed, period: 1s}\n",
          "- {name: tls, token: tls, url: \"tcps://", there, "\", period: 1s}\n",  //
          "- {name: ws, token: ws, url: \"ws://", there, "/\", period: 1s}\n",     //
          "- {name: dns, token: dns, url: \"dns://", nobody, "/example.org\", period: 1s}\n",
          "- {name: beat, token: beat, type: pulse, period: 1h}\n"));
  const std::map<std::string, double> expected = {{"web", 1},  {"gone", 0}, {"text", 0},
                                                  {"port", 1}, {"shut", 1}, {"open", 0},
                                                  {"tls", 0},  {"ws", 0},   {"dns", 0}};
  const auto scheduled = [&] {
    std::map<std::string, double> found;
    const auto all = ParseExposition(HttpGet(collector.url("/metrics/probes")).body);
    const auto family = all.find("probe_success");
    if (family == all.end()) return found;
    for (const auto& [labels, value] : family->second.series) {
      for (const auto& [token, unused] : expected) {
        if (absl::StrContains(labels, absl::StrCat("check=\"", token, "\""))) found[token] = value;
      }
    }
    return found;
  };
  EXPECT_TRUE(WaitFor([&] { return scheduled().size() == expected.size(); }));
  EXPECT_EQ(scheduled(), expected);

  // As Prometheus does: every __param_ is a parameter, and the usual relabelling the target.
  const json groups = json::parse(HttpGet(collector.url("/sd/probes")).body, nullptr, false);
  ASSERT_EQ(groups.size(), expected.size()) << groups;
  for (const json& group : groups) {
    std::string query = "target=" + PercentEncode(group["targets"][0].get<std::string>());
    for (const auto& [name, value] : group["labels"].items()) {
      if (!absl::StartsWith(name, "__param_")) continue;
      absl::StrAppend(&query, "&", name.substr(8), "=", PercentEncode(value.get<std::string>()));
    }
    const std::string token = group["labels"]["check"];
    const HttpAnswer answer = HttpGet(collector.url("/probe?" + query));
    EXPECT_EQ(answer.code, 200) << token << ": " << answer.body;
    EXPECT_EQ(MetricIn(answer.body, "probe_success"), expected.at(token)) << token << answer.body;
    // Every series of the scrape is one of the scheduled look, with what tells the probes apart;
    // what takes its time, and what came of it, may differ.
    const auto all = ParseExposition(HttpGet(collector.url("/metrics/probes")).body);
    const std::string own = absl::StrCat(
        "alias=\"", token, "\",check=\"", token, "\",instance=\"",
        group["targets"][0].get<std::string>(), "\",job=\"fleet\",module=\"",
        group["labels"]["__param_module"].get<std::string>(), "\",vantage=\"collector\"");
    for (const auto& [name, family] : ParseExposition(answer.body)) {
      ASSERT_EQ(all.count(name), 1u) << token << ": " << name;
      for (const auto& [labels, value] : family.series) {
        const std::string key = SortedLabels(labels.empty() ? own : absl::StrCat(labels, ",", own));
        const auto found = all.at(name).series.find(key);
        ASSERT_NE(found, all.at(name).series.end()) << name << "{" << key << "}";
        if (absl::EndsWith(name, "_seconds")) continue;
        EXPECT_EQ(found->second, value) << token << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace fleet::test
