// The public files outlive the collector: in a directory, in a bucket whose signatures botocore
// verifies, behind a real nginx; and Chromium sees there what people would.
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/web/publisher.h"
#include "collector/web/web.h"
#include "common/http_client.h"
#include "tests/support/browser.h"
#include "tests/support/fake_minio.h"
#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"
#include "tests/support/nginx.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::Browser;
using ::fleet::test::FakeMinio;
using ::fleet::test::FakeProbes;
using ::fleet::test::FreePort;
using ::fleet::test::Nginx;
using ::fleet::test::ReadFile;
using ::fleet::test::WaitFor;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class PublishTest : public ::testing::Test {
 protected:
  PublishTest() {
    FakeProbes::Definition(probes_.Add("1kae", "https://chitter.xyz")).alias = "chitter";
    store_ = *AnnouncementStore::Open("", Clock::Real());
    SetValidity(Web::kValidFor);
  }
  void SetValidity(absl::Duration valid_for) {
    Web::Parts parts{*store_, Clock::Real(), &probes_, {}};
    parts.valid_for = valid_for;
    web_ = std::make_unique<Web>(parts);
  }
  void Publish(const std::vector<PublishOptions>& targets) {
    publisher_ = std::make_unique<Publisher>(targets, *web_, Clock::Real());
  }
  void Announce(const std::string& text) {
    ASSERT_TRUE(store_->Post(AnnouncementState::kInvestigating, text, "").ok());
    web_->Changed();
  }
  PublishOptions Directory() {
    PublishOptions options;
    options.name = "directory";
    options.directory = dir_ / "site";
    return options;
  }
  PublishOptions Bucket(const std::string& url) {
    PublishOptions options;
    options.name = "bucket";
    options.url = url;
    options.access_key_file = dir_ / "access";
    options.secret_key_file = dir_ / "secret";
    test::WriteFile(options.access_key_file, "fleet-access\n");
    test::WriteFile(options.secret_key_file, "fleet-secret\n");
    return options;
  }
  std::string Metric(const std::string& line_start) {
    publisher_->SetMetrics(metrics_);
    for (const absl::string_view line : absl::StrSplit(metrics_.Render(), '\n')) {
      if (absl::StartsWith(line, line_start)) return std::string(line.substr(line.rfind(' ') + 1));
    }
    return "";
  }
  std::vector<std::string> Notes() {
    std::vector<std::string> notes;
    publisher_->AddNotes(notes);
    return notes;
  }
  std::string Site(absl::string_view name) { return ReadFile(absl::StrCat(dir_ / "site/", name)); }

  test::TempDir dir_;
  FakeProbes probes_;
  SelfMetrics metrics_;
  std::unique_ptr<AnnouncementStore> store_;
  std::unique_ptr<Web> web_;
  std::unique_ptr<Publisher> publisher_;
};

TEST_F(PublishTest, ADirectoryHoldsWhatIsServed) {
  const mode_t mask = ::umask(0077);
  Publish({Directory()});
  ASSERT_TRUE(WaitFor([&] { return !Site("status.json").empty(); }));
  ASSERT_TRUE(WaitFor([&] { return Metric("fleet_collector_publish_files_total") == "7"; }));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "site")) {
    struct stat facts = {};
    ASSERT_EQ(::stat(entry.path().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, entry.is_directory() ? 0755u : 0644u) << entry.path();
    if (entry.is_regular_file()) {
      names.push_back(std::filesystem::relative(entry.path(), dir_ / "site"));
    }
  }
  ::umask(mask);
  EXPECT_THAT(names, testing::UnorderedElementsAre("index.html", "status.json", "summary.json",
                                                   "updates.html", "status.atom",
                                                   "api/v2/status.json", "api/v2/summary.json"));
  for (const std::string& name : names) {
    EXPECT_EQ(Site(name), web_->files()->by_name.at(name)->body) << name;
  }
  Announce("Uploads are slow.");
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(Site("updates.html"), "slow"); }));
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(Site("index.html"), "slow"); }));
  EXPECT_THAT(Notes(), IsEmpty());
}

TEST_F(PublishTest, ABucketGetsSignedFilesWithTheirTypes) {
  if (const std::string missing = FakeMinio::Missing(); !missing.empty()) GTEST_SKIP() << missing;
  FakeMinio minio;
  PublishOptions options = Bucket(minio.url("/canary/page"));
  options.headers = {{"x-amz-acl", "public-read"}};
  Publish({options});
  ASSERT_TRUE(WaitFor([&] { return Metric("fleet_collector_publish_files_total") == "7"; }))
      << minio.Log() << absl::StrJoin(Notes(), "\n");
  HttpClient client;
  const auto get = [&](const std::string& name) {
    ::fleet::HttpRequest request;
    request.url = minio.url("/canary/page/" + name);
    request.signer = HttpSigner{"fleet-access", "fleet-secret", "us-east-1", "s3"};
    return *client.Fetch(request);
  };
  const ::fleet::HttpResponse page = get("index.html");
  EXPECT_EQ(page.body, web_->files()->by_name.at("index.html")->body);
  EXPECT_EQ(*page.header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(*page.header("cache-control"), "no-cache");
  EXPECT_EQ(*page.header("x-amz-acl"), "public-read");
  EXPECT_EQ(*get("api/v2/summary.json").header("content-type"), "application/json; charset=utf-8");
  EXPECT_EQ(*get("updates.html").header("cache-control"), "no-cache");

  // What carries no validity and did not change is not sent again.
  web_->Changed();
  ASSERT_TRUE(WaitFor([&] { return Metric("fleet_collector_publish_files_total") == "12"; }));
}

TEST_F(PublishTest, WhatFailsIsCountedNotedAndTriedAgain) {
  if (const std::string missing = FakeMinio::Missing(); !missing.empty()) GTEST_SKIP() << missing;
  FakeMinio minio;
  PublishOptions options = Bucket(minio.url("/canary"));
  test::WriteFile(options.secret_key_file, "wrong-secret\n");
  Publish({options, Directory()});
  EXPECT_TRUE(WaitFor([&] { return !Notes().empty(); }));
  EXPECT_THAT(Notes(), ElementsAre(AllOf(HasSubstr("publish: bucket has had no new status page"),
                                         HasSubstr("HTTP 403 SignatureDoesNotMatch"))));
  EXPECT_THAT(Site("index.html"), Not(IsEmpty())) << "others do not wait for it";
  EXPECT_THAT(Metric("fleet_collector_publish_failures_total{target=\"bucket\"}"),
              testing::Ge(std::string("14")));
  // The key is put right, and read again.
  test::WriteFile(options.secret_key_file, "fleet-secret\n");
  EXPECT_TRUE(WaitFor([&] { return Notes().empty(); }, absl::Seconds(30)));
  EXPECT_EQ(Metric("fleet_collector_publish_files_total{target=\"bucket\"}"), "7");
}

TEST_F(PublishTest, ASlowBucketDelaysNothing) {
  if (const std::string missing = FakeMinio::Missing(); !missing.empty()) GTEST_SKIP() << missing;
  FakeMinio minio;
  minio.Set("{\"slow\": {\"*\": 600}}");
  PublishOptions options = Bucket(minio.url("/canary"));
  options.timeout = absl::Minutes(5);
  Publish({options, Directory()});
  for (int i = 0; i < 3; ++i) {
    const std::string word = absl::StrCat("word", i);
    Announce(word);
    EXPECT_TRUE(WaitFor([&] { return absl::StrContains(Site("updates.html"), word); }));
  }
  const absl::Time before = absl::Now();
  publisher_.reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(5)) << "the end does not wait for it either";
}

/// A web server of WebDAV as a bucket's stand-in: takes PUT, serves what it took.
std::string Dav(uint16_t port, const std::string& root) {
  return absl::StrCat("server { listen 127.0.0.1:", port, "; root ", root,
                      "; location / { dav_methods PUT; create_full_put_path on; "
                      "dav_access all:r; limit_except GET { allow 127.0.0.1; deny all; } } }\n");
}

TEST_F(PublishTest, ThePageOfABucketWorksAloneAndTurnsToNoNews) {
  if (const std::string missing = Browser::Missing(); !missing.empty()) GTEST_SKIP() << missing;
  if (!test::HasProgram("nginx")) GTEST_SKIP() << "no nginx";
  Browser browser({});  // takes its time, which the page does not have
  SetValidity(absl::Seconds(6));
  const uint16_t port = FreePort();
  ASSERT_TRUE(std::filesystem::create_directory(dir_ / "dav"));
  Nginx nginx(Dav(port, dir_ / "dav"), port);
  PublishOptions options;
  options.name = "dav";
  options.url = absl::StrCat("http://127.0.0.1:", port, "/status");
  Publish({options, Directory()});
  ASSERT_TRUE(WaitFor([&] {
    return Metric("fleet_collector_publish_files_total{target=\"dav\"}") == "7";
  })) << nginx.Log()
      << absl::StrJoin(Notes(), "\n");
  // The collector is gone.
  publisher_.reset();
  web_.reset();

  const std::string page = options.url + "/index.html";
  browser.Open(page);
  EXPECT_EQ(browser.Text(".overall h2"), "All systems operational");
  EXPECT_THAT(browser.Text(".age"), StartsWith("Last updated "));
  EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "No news from the monitor"; }));
  EXPECT_TRUE(WaitFor([&] {
    return browser.Run(
               "return Date.now() > 1000 * document.getElementById('page').dataset.until") == true;
  }));
  browser.Open(page);
  EXPECT_EQ(browser.Text(".overall h2"), "No news from the monitor")
      << "also when it is opened then";
  EXPECT_THAT(browser.Complaints(), IsEmpty());
  EXPECT_THAT(browser.Requested(), testing::Each(StartsWith(options.url + "/")));
  EXPECT_EQ(browser.Run("return fetch('status.atom').then(r => r.status)"), 200);

  // From a disk, where nothing can be asked for.
  browser.Open(absl::StrCat("file://", dir_ / "site/index.html"));
  EXPECT_EQ(browser.Text(".overall h2"), "No news from the monitor");
  EXPECT_THAT(browser.Complaints(), IsEmpty());
}

}  // namespace
}  // namespace fleet::collector
