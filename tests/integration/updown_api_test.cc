// The updown API as its clients use it: their requests, byte for byte where they were recorded,
// sent to a real server.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/support/updown_rig.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

Json Parse(const HttpReply& reply) {
  Json json = Json::parse(reply.body, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << reply.status << " " << reply.body;
  return json;
}

std::string ErrorOf(const HttpReply& reply) {
  return Parse(reply).value("error", std::string("no error"));
}

class UpdownApiTest : public ::testing::Test {
 protected:
  UpdownApiTest() {
    collector::ProbeView& main = rig_.probes.Add("1kae", "https://chitter.xyz/");
    main.status.last_status = 200;
    rig_.probes.Add("ljag", "https://media.chitter.xyz/");
  }
  void SetMetrics(collector::MetricsGroup group, const std::string& key, int64_t samples,
                  int64_t fast) {
    collector::ProbeMetrics metrics;
    metrics.samples = samples;
    metrics.under.fill(samples);
    for (size_t i = 0; i < 3; ++i) metrics.under[i] = fast;
    metrics.response = 100.0 * static_cast<double>(samples);
    rig_.probes.metrics[group][key] = metrics;
  }

  UpdownRig rig_;
};

// ---- the static status page -------------------------------------------------------------------

/// What a browser sends for `site/main.js`, to the letter but for the host.
std::string PageGet(absl::string_view target) {
  return absl::StrCat("GET ", target,
                      " HTTP/1.1\r\nHost: updown.io\r\nConnection: close\r\n"
                      "x-api-key: ro-0123456789abcdef\r\nAccept: */*\r\n"
                      "Origin: https://status.chitter.xyz\r\n"
                      "Referer: https://status.chitter.xyz/\r\n"
                      "Accept-Encoding: gzip, deflate, br\r\n\r\n");
}

TEST_F(UpdownApiTest, TheStaticPagesPreflightIsAnswered) {
  RawConnection connection(rig_.port());
  connection.Send(
      "OPTIONS /api/checks/1kae HTTP/1.1\r\nHost: updown.io\r\nConnection: close\r\n"
      "Accept: */*\r\nAccess-Control-Request-Method: GET\r\n"
      "Access-Control-Request-Headers: x-api-key\r\nOrigin: https://status.chitter.xyz\r\n\r\n");
  EXPECT_THAT(connection.Receive(),
              AllOf(StartsWith("HTTP/1.1 204"), HasSubstr("Access-Control-Allow-Origin: *\r\n"),
                    HasSubstr("Access-Control-Allow-Headers: x-api-key"),
                    HasSubstr("Access-Control-Allow-Methods: GET"),
                    HasSubstr("Access-Control-Max-Age: 7200\r\n")));
}

TEST_F(UpdownApiTest, TheStaticPageReadsDownAndApdex) {
  SetMetrics(collector::MetricsGroup::kNone, "", 10, 5);
  RawConnection check(rig_.port());
  check.Send(PageGet("/api/checks/1kae"));
  EXPECT_THAT(check.Receive(),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Access-Control-Allow-Origin: *\r\n"),
                    HasSubstr("Access-Control-Expose-Headers: Date"),
                    HasSubstr("Vary: X-Api-Key, Origin"), HasSubstr("\"down\":false")));
  RawConnection metrics(rig_.port());
  const std::string hour =
      absl::FormatTime("%Y-%m-%dT%H%%3A00%%3A00.000Z", rig_.clock.Now(), absl::UTCTimeZone());
  metrics.Send(PageGet(absl::StrCat("/api/checks/1kae/metrics?from=", hour)));
  EXPECT_THAT(metrics.Receive(),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Access-Control-Allow-Origin: *\r\n"),
                    HasSubstr("\"apdex\":0.75,")));
}

TEST_F(UpdownApiTest, AnErrorIsUnreadableForAPage) {
  // The page takes the JSON of an error for "no issues" when it can read it.
  for (const char* target : {"/api/checks/none", "/api/checks/none/metrics"}) {
    const HttpReply reply = rig_.Get(target);
    EXPECT_EQ(reply.status, 404);
    EXPECT_THAT(reply.headers, Not(HasSubstr("Access-Control-Allow-Origin")));
    EXPECT_FALSE(Parse(reply).contains("message"));
  }
  const HttpReply reply = rig_.Get("/api/checks/1kae", {{"x-api-key", "ro-wrong"}});
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.headers, Not(HasSubstr("Access-Control-Allow-Origin")));
}

TEST_F(UpdownApiTest, AnEmptyRangeTellsOfTheNewestHourThatHasSamples) {
  // Right after the full hour, and from a browser whose clock is ahead.
  SetMetrics(collector::MetricsGroup::kTime, "2026-11-23T14:00:00Z", 10, 0);
  SetMetrics(collector::MetricsGroup::kTime, "2026-11-23T15:00:00Z", 10, 10);
  SetMetrics(collector::MetricsGroup::kTime, "2026-11-23T16:00:00Z", 0, 0);
  for (const char* from : {"2026-11-23T16%3A00%3A00.000Z", "2100-01-01"}) {
    const Json metrics = Parse(rig_.Get(absl::StrCat("/api/checks/1kae/metrics?from=", from)));
    EXPECT_EQ(metrics["apdex"], 1.0) << metrics;
  }
  rig_.probes.metrics.clear();
  const Json none = Parse(rig_.Get("/api/checks/1kae/metrics"));
  EXPECT_FALSE(none.contains("apdex")) << "never null: the page would call it slow";
}

// ---- keys -------------------------------------------------------------------------------------

TEST_F(UpdownApiTest, KeysGoIntoHeaderOrQuery) {
  EXPECT_EQ(rig_.Get("/api/checks", {{"x-Api-kEy", UpdownRig::kReadKey}}).status, 200);
  EXPECT_EQ(rig_.Get("/api/checks?api-key=ro-0123456789abcdef", {}).status, 200);
  EXPECT_EQ(rig_.Get("/api/checks", {{"Authorization", "Bearer 0123456789abcdef"}}).status, 200);
  EXPECT_THAT(rig_.Get("/api/checks", {{"Authorization", "Bearer 0123456789abcdef"}}).headers,
              HasSubstr("Cache-Control: private"))
      << "a shared cache must not give it to others";
  EXPECT_EQ(rig_.Get("/api/checks", {}).status, 401);
  EXPECT_EQ(rig_.Get("/api/nodes", {}).status, 200) << "nobody needs a key for these";
  EXPECT_EQ(rig_.Get("/api/nodes/ipv4/", {}).status, 200);
}

TEST_F(UpdownApiTest, AReadOnlyKeyChangesNothing) {
  for (const auto& [method, path] :
       std::vector<std::pair<const char*, const char*>>{{"POST", "/api/checks"},
                                                        {"PUT", "/api/checks/1kae"},
                                                        {"DELETE", "/api/checks/1kae"},
                                                        {"POST", "/api/recipients"},
                                                        {"DELETE", "/api/recipients/x"},
                                                        {"POST", "/api/webhooks"},
                                                        {"POST", "/api/status_pages"},
                                                        {"DELETE", "/api/status-pages/x"}}) {
    const HttpReply reply = rig_.Send(method, path, "url=https://x", "", UpdownRig::kReadKey);
    EXPECT_EQ(reply.status, 403) << method << " " << path;
    EXPECT_THAT(ErrorOf(reply), HasSubstr("read-only"));
    EXPECT_EQ(rig_.Send(method, path, "url=https://x", "", "nonsense").status, 401);
  }
  EXPECT_EQ(rig_.probes.views.size(), 2);
}

// ---- checks -----------------------------------------------------------------------------------

TEST_F(UpdownApiTest, ListsWithAndWithoutTheSlashAndWhateverIsAskedBeside) {
  for (const char* path : {"/api/checks", "/api/checks/", "/api/checks?_t=1&_=2&page=7"}) {
    const HttpReply reply = rig_.Get(path);
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.headers, HasSubstr("Content-Type: application/json"));
    EXPECT_THAT(reply.headers, HasSubstr("Cache-Control: public, max-age=30\r\n"));
    EXPECT_EQ(Parse(reply).size(), 2);
  }
  EXPECT_EQ(Parse(rig_.Get("/api/checks/ljag/"))["token"], "ljag");
  EXPECT_EQ(rig_.Get("/api/checks/https%3A%2F%2Fchitter.xyz%2F").status, 404) << "a name of ours";
}

TEST_F(UpdownApiTest, WhoHasItAlreadyGetsNoBody) {
  const HttpReply first = rig_.Get("/api/checks");
  const size_t at = first.headers.find("ETag: W/\"");
  ASSERT_NE(at, std::string::npos);
  const std::string tag = first.headers.substr(at + 6, first.headers.find("\r\n", at) - at - 6);
  const HttpReply again =
      rig_.Get("/api/checks", {{"X-API-KEY", UpdownRig::kReadKey}, {"If-None-Match", tag}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_THAT(again.headers, HasSubstr("Access-Control-Allow-Origin: *"));
  rig_.probes.views[0].status.down = true;
  const auto asked = [&] {
    return rig_.Get("/api/checks", {{"X-API-KEY", UpdownRig::kReadKey}, {"If-None-Match", tag}});
  };
  EXPECT_EQ(asked().status, 304) << "a list may be a second old";
  rig_.clock.Advance(collector::UpdownApi::kListAgeMax);
  EXPECT_EQ(asked().status, 200);
}

TEST_F(UpdownApiTest, AChangeIsInTheListAtOnce) {
  const size_t before = Parse(rig_.Get("/api/checks")).size();
  const Json made = Parse(rig_.Send("POST", "/api/checks", "url=https://new.example"));
  EXPECT_EQ(Parse(rig_.Get("/api/checks")).size(), before + 1);
  rig_.Send("DELETE", absl::StrCat("/api/checks/", made["token"].get<std::string>()), "");
  EXPECT_EQ(Parse(rig_.Get("/api/checks")).size(), before);
}

TEST_F(UpdownApiTest, FormsAndJsonDoTheSame) {
  // As ruby's and python's clients send it, and as node's do.
  const HttpReply form =
      rig_.Send("POST", "/api/checks",
                "url=https%3A%2F%2Fa.example&period=30&published=true&alias=A&apdex_t=1.0&"
                "disabled_locations[]=tempo&custom_headers[X-Token]=v");
  const HttpReply json = rig_.Send(
      "POST", "/api/checks/?api-key=0123456789abcdef",
      R"({"url":"https://a.example","period":30,"published":true,"alias":"A","apdex_t":1,)"
      R"("disabled_locations":["tempo"],"custom_headers":{"X-Token":"v"},"name":"ignored"})",
      "application/json", "");
  for (const HttpReply* reply : {&form, &json}) {
    EXPECT_EQ(reply->status, 201) << reply->body;
    EXPECT_THAT(reply->headers,
                HasSubstr("Cache-Control: max-age=0, private, must-revalidate\r\n"));
    Json made = Parse(*reply);
    EXPECT_EQ(made["period"], 30);
    EXPECT_TRUE(made["period"].is_number_integer());
    EXPECT_EQ(made["alias"], "A");
    EXPECT_EQ(made["custom_headers"]["X-Token"], "v");
    EXPECT_EQ(made["disabled_locations"], Json({"tempo"}));
    EXPECT_TRUE(made["last_status"].is_null());
  }
}

TEST_F(UpdownApiTest, ChangesAndDeletes) {
  HttpReply reply = rig_.Send("PUT", "/api/checks/1kae", "alias=Main&enabled=false");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(Parse(reply)["alias"], "Main");
  EXPECT_EQ(Parse(reply)["enabled"], false);
  EXPECT_EQ(Parse(reply)["url"], "https://chitter.xyz/") << "left as it was";
  EXPECT_EQ(Parse(rig_.Get("/api/checks/1kae"))["alias"], "Main");
  reply = rig_.Send("DELETE", "/api/checks/1kae/", "");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, R"({"deleted":true})");
  EXPECT_EQ(rig_.Send("DELETE", "/api/checks/1kae", "").status, 404);
  EXPECT_EQ(rig_.Send("PUT", "/api/checks/1kae", "alias=x").status, 404);
}

TEST_F(UpdownApiTest, WhatIsWrongIsSaid) {
  HttpReply reply = rig_.Send("POST", "/api/checks", "period=soon&apdex_t=x");
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.headers, AllOf(HasSubstr("Cache-Control: no-cache\r\n"),
                                   Not(HasSubstr("Access-Control-Allow-Origin"))));
  EXPECT_EQ(ErrorOf(reply),
            "Apdex t is not a number (given: \"x\"), Period is not a number (given: \"soon\")");
  EXPECT_EQ(ErrorOf(rig_.Send("POST", "/api/checks", "")), "URL can't be blank");
  EXPECT_THAT(ErrorOf(rig_.Send("POST", "/api/checks", "{\"url\":", "application/json")),
              HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf(rig_.Send("POST", "/api/checks", "url=x&http_verb=DELETE")),
              HasSubstr("not allowed by probes_allow"));
  rig_.probes.refuse = absl::InvalidArgumentError(
      "URL is already registered (given: \"news.ycombinator.com/\"), Period is not included in "
      "the list (given: 45)");
  reply = rig_.Send("POST", "/api/checks", "url=news.ycombinator.com&period=45");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(ErrorOf(reply), rig_.probes.refuse.message());
  rig_.probes.refuse = absl::UnavailableError("the disk is full");
  EXPECT_EQ(rig_.Send("POST", "/api/checks", "url=x").status, 503);
}

TEST_F(UpdownApiTest, ChecksOfTheConfigAreReadOnly) {
  FakeProbes::Definition(rig_.probes.views[0]).from_config = true;
  for (const char* method : {"PUT", "DELETE"}) {
    const HttpReply reply = rig_.Send(method, "/api/checks/1kae", "alias=x");
    EXPECT_EQ(reply.status, 403);
    EXPECT_THAT(ErrorOf(reply), HasSubstr("collector.yaml"));
  }
}

TEST_F(UpdownApiTest, APulseShowsItsUrlOnlyToItsMaker) {
  const HttpReply made = rig_.Send("POST", "/api/checks", "type=pulse&period=86400");
  EXPECT_EQ(made.status, 201);
  const std::string token = Parse(made)["token"];
  EXPECT_THAT(std::string(Parse(made)["url"]), HasSubstr(absl::StrCat("/pulse/", token, "/")));
  EXPECT_THAT(std::string(Parse(rig_.Get("/api/checks/" + token))["url"]),
              testing::EndsWith(absl::StrCat("/pulse/", token)));
}

TEST_F(UpdownApiTest, TooManyChangesWait) {
  HttpReply reply;
  for (int i = 0; i < 400 && reply.status != 429; ++i) {
    reply = rig_.Send("DELETE", "/api/checks/none", "");
  }
  EXPECT_EQ(reply.status, 429);
  EXPECT_THAT(reply.headers, HasSubstr("Retry-After: 1"));
  EXPECT_EQ(rig_.Get("/api/checks").status, 200) << "reading goes on";
}

// ---- metrics and downtimes --------------------------------------------------------------------

TEST_F(UpdownApiTest, MetricsByTimeAndHost) {
  rig_.probes.vantages = {{"collector", true, "192.0.2.1"}, {"tempo", true, ""}};
  SetMetrics(collector::MetricsGroup::kTime, "2023-03-12T02:00:00Z", 4, 4);
  SetMetrics(collector::MetricsGroup::kHost, "collector", 4, 2);
  const Json time = Parse(
      rig_.Get("/api/checks/1kae/metrics?group=time&from=2023-03-12&to=2023-03-13%2000:00:00"));
  EXPECT_EQ(time["2023-03-12T02:00:00Z"]["requests"]["samples"], 4);
  EXPECT_EQ(absl::FormatTime("%F", rig_.probes.asked_from, absl::UTCTimeZone()), "2023-03-12");
  const Json host = Parse(rig_.Get("/api/checks/1kae/metrics?group=host"));
  EXPECT_EQ(host["collector"]["host"]["ip"], "192.0.2.1");
  EXPECT_EQ(host["collector"]["apdex"], 0.75);
  const HttpReply bad = rig_.Get("/api/checks/1kae/metrics?from=yesterday");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(ErrorOf(bad), "From is not a time (given: \"yesterday\")");
}

TEST_F(UpdownApiTest, ACheckWithItsMetricsHasNoRequests) {
  SetMetrics(collector::MetricsGroup::kNone, "", 10, 10);
  for (const char* yes : {"true", "1"}) {
    const Json check = Parse(rig_.Get(absl::StrCat("/api/checks/1kae?metrics=", yes)));
    EXPECT_EQ(check["metrics"]["apdex"], 1.0);
    EXPECT_EQ(check["metrics"]["timings"]["response"], 100);
    EXPECT_FALSE(check["metrics"].contains("requests"));
  }
  EXPECT_FALSE(Parse(rig_.Get("/api/checks/1kae")).contains("metrics"));
}

TEST_F(UpdownApiTest, DowntimesComeInPages) {
  for (int i = 0; i < 150; ++i) {
    rig_.probes.downtimes.push_back({absl::StrCat(i), "1kae", "502", absl::FromUnixSeconds(i),
                                     absl::FromUnixSeconds(i + 60), false, ""});
  }
  EXPECT_EQ(Parse(rig_.Get("/api/checks/1kae/downtimes")).size(), 100);
  EXPECT_EQ(Parse(rig_.Get("/api/checks/1kae/downtimes?page=2")).size(), 50);
  EXPECT_EQ(rig_.Get("/api/checks/1kae/downtimes?page=3").body, "[]");
  EXPECT_EQ(rig_.Get("/api/checks/1kae/downtimes?page=99999999999999999999").status, 200);
  const Json with = Parse(rig_.Get("/api/checks/1kae/downtimes?results=true"));
  EXPECT_TRUE(with[0]["down_results"].is_array());
  EXPECT_FALSE(Parse(rig_.Get("/api/checks/1kae/downtimes"))[0].contains("down_results"));
}

// ---- recipients, webhooks, status pages -------------------------------------------------------

TEST_F(UpdownApiTest, RecipientsAreMadeUsedAndDeleted) {
  const HttpReply made =
      rig_.Send("POST", "/api/recipients", "type=webhook&value=https://hooks.example/b&name=B");
  EXPECT_EQ(made.status, 201) << made.body;
  const std::string id = Parse(made)["id"];
  EXPECT_THAT(id, testing::MatchesRegex("webhook:[0-9]{10}"));
  const Json all = Parse(rig_.Get("/api/recipients/"));
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[0]["immutable"], true);
  EXPECT_EQ(all[1]["value"], "https://hooks.example/b");
  // As a client in TypeScript deletes it: an encoded colon and a slash.
  const std::string encoded = absl::StrCat("/api/recipients/webhook%3A", id.substr(8), "/");
  EXPECT_EQ(rig_.Send("DELETE", encoded, "").body, R"({"deleted":true})");
  EXPECT_EQ(rig_.Send("DELETE", encoded, "").status, 404);
  EXPECT_EQ(
      rig_.Send("DELETE", absl::StrCat("/api/recipients/", std::string(all[0]["id"])), "").status,
      403);
}

TEST_F(UpdownApiTest, RecipientsThatNobodyCouldReachAreRefused) {
  EXPECT_THAT(ErrorOf(rig_.Send("POST", "/api/recipients", "type=email&value=a@b.c")),
              HasSubstr("not something that fleet can send"));
  EXPECT_THAT(ErrorOf(rig_.Send("POST", "/api/recipients", "type=pigeon&value=x")),
              HasSubstr("not included in the list"));
  for (const char* url : {"", "ftp://x", "file:///etc/passwd", "javascript:1"}) {
    EXPECT_EQ(rig_.Send("POST", "/api/recipients", absl::StrCat("type=webhook&value=", url)).status,
              400);
    EXPECT_EQ(rig_.Send("POST", "/api/webhooks", absl::StrCat("url=", url)).status, 400);
  }
}

TEST_F(UpdownApiTest, TheOlderWebhooksAreTheSameThing) {
  const HttpReply made = rig_.Send("POST", "/api/webhooks", R"({"url":"https://hooks.example/c"})",
                                   "application/json");
  EXPECT_EQ(made.status, 201);
  const std::string id = Parse(made)["id"];
  EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{24}"));
  EXPECT_EQ(Parse(rig_.Get("/api/webhooks")).size(), 2);
  EXPECT_EQ(rig_.Send("DELETE", "/api/webhooks/" + id, "").status, 200);
}

TEST_F(UpdownApiTest, StatusPagesUnderBothNames) {
  for (const char* path : {"/api/status_pages", "/api/status-pages"}) {
    const HttpReply made = rig_.Send(
        "POST", path, R"({"checks":["ljag","1kae"],"name":"Chitter","description":"a\nb"})",
        "application/json");
    ASSERT_EQ(made.status, 201) << made.body;
    const Json page = Parse(made);
    EXPECT_EQ(page["checks"], Json({"ljag", "1kae"}));
    EXPECT_EQ(page["visibility"], "public");
    EXPECT_TRUE(page["access_key"].is_null());
    const std::string token = page["token"];
    const std::string one = absl::StrCat(path, "/", token);
    const HttpReply changed = rig_.Send("PUT", one, "checks[]=1kae&visibility=public");
    EXPECT_EQ(changed.status, 200) << changed.body;
    EXPECT_THAT(ErrorOf(rig_.Send("PUT", one, "visibility=private")),
                HasSubstr("there is one page here"));
    EXPECT_EQ(Parse(changed)["name"], "Chitter");
    EXPECT_EQ(Parse(rig_.Get(path)).back()["checks"], Json({"1kae"}));
    const HttpReply not_so = rig_.Get(one);
    EXPECT_EQ(not_so.status, 405);
    EXPECT_EQ(Parse(not_so)["error"], "Method not allowed");
    EXPECT_THAT(not_so.headers, ::testing::Not(HasSubstr("ccess-control-allow-origin")));
    EXPECT_EQ(rig_.Send("DELETE", one, "").status, 200);
  }
  EXPECT_THAT(ErrorOf(rig_.Send("POST", "/api/status_pages", "checks[]=none")),
              HasSubstr("Checks is not known"));
}

// ---- real clients, and how long it takes -------------------------------------------------------

TEST_F(UpdownApiTest, CurlAndPythonDoTheirRounds) {
  const std::string curl = absl::StrCat(
      "curl -sS --fail-with-body --compressed -H 'X-API-KEY: ", UpdownRig::kFullKey, "' ");
  const Output made =
      Shell(absl::StrCat(curl, "-d 'url=https://b.example' -d 'period=120' -d 'recipients[]=' ",
                         rig_.url("/api/checks")));
  EXPECT_EQ(Json::parse(made.text)["period"], 120) << made.text;
  EXPECT_EQ(Json::parse(Shell(absl::StrCat(curl, rig_.url("/api/checks"))).text).size(), 3);
  const Output python = RunProgram(
      {"python3", "-c",
       absl::StrCat(
           "import json, urllib.request as r, urllib.parse as p\n"
           "def call(method, path, **kw):\n"
           "  body = p.urlencode(kw.get('form'), doseq=True).encode() if 'form' in kw else "
           "json.dumps(kw['json']).encode() if 'json' in kw else None\n"
           "  q = r.Request('",
           rig_.url("/api"),
           "' + path, body, method=method)\n"
           "  q.add_header('X-API-KEY', '",
           UpdownRig::kFullKey,
           "')\n"
           "  if 'json' in kw: q.add_header('Content-Type', 'application/json')\n"
           "  with r.urlopen(q) as a: return a.status, json.load(a)\n"
           "s, c = call('POST', '/checks', form={'url': 'https://c.example', "
           "'disabled_locations[]': ['tempo', 'parasect']})\n"
           "assert s == 201 and c['disabled_locations'] == ['tempo', 'parasect'], c\n"
           "s, c = call('PUT', '/checks/' + c['token'] + '/', json={'apdex_t': 2.0, 'alias': "
           "'é'})\n"
           "assert s == 200 and c['apdex_t'] == 2 and c['alias'] == 'é', c\n"
           "s, d = call('DELETE', '/checks/' + c['token'])\n"
           "assert d == {'deleted': True}\n"
           "print('done')\n")});
  EXPECT_THAT(python.text, HasSubstr("done"));
}

TEST_F(UpdownApiTest, AThousandChecksAreListedQuickly) {
  for (int i = 0; i < 998; ++i) {
    collector::ProbeView& view =
        rig_.probes.Add(absl::StrCat("t", i), absl::StrCat("https://example.org/path/", i));
    view.status.tls.emplace();
  }
  // Kept alive, as clients that ask often do.
  RawConnection connection(rig_.port());
  std::vector<absl::Duration> took;
  for (int i = 0; i < 300; ++i) {
    if (i % 20 == 0) rig_.clock.Advance(collector::UpdownApi::kListAgeMax);
    const absl::Time start = absl::Now();
    connection.Send(absl::StrCat("GET /api/checks HTTP/1.1\r\nHost: x\r\nX-API-KEY: ",
                                 UpdownRig::kReadKey, "\r\nAccept-Encoding: gzip\r\n\r\n"));
    std::string text;
    size_t body = 0;
    while (body == 0 || text.size() < body) {
      const std::string piece = connection.Receive(absl::Seconds(10), 1);
      ASSERT_FALSE(piece.empty());
      text += piece;
      const size_t end = text.find("\r\n\r\n");
      const size_t length = text.find("Content-Length: ");
      if (body == 0 && end != std::string::npos) {
        body = end + 4 + std::stoul(text.substr(length + 16));
        text += connection.Receive(absl::Seconds(10), body - text.size());
      }
    }
    took.push_back(absl::Now() - start);
  }
  std::sort(took.begin(), took.end());
  const absl::Duration p99 = took[took.size() * 99 / 100];
  std::printf("/api/checks at 1,000 checks: p50 %.2f ms, p99 %.2f ms\n",
              absl::ToDoubleMilliseconds(took[took.size() / 2]), absl::ToDoubleMilliseconds(p99));
  RecordProperty("p99_ms", absl::StrCat(absl::ToDoubleMilliseconds(p99)));
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(took[took.size() / 2], absl::Milliseconds(50)) << "what a busy machine allows";
#endif
}

}  // namespace
}  // namespace fleet::test
