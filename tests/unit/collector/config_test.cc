#include "collector/config.h"

#include <gmock/gmock.h>

#include "common/host_name.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class CollectorConfigTest : public ::testing::Test {
 protected:
  CollectorOptions Load(const std::string& yaml, const ConfigOverrides& overrides = {}) {
    const std::string path = dir_ / "collector.yaml";
    test::WriteFile(path, yaml);
    return LoadCollectorOptions(path, overrides, loader_);
  }

  test::TempDir dir_;
  ConfigLoader loader_;
};

TEST_F(CollectorConfigTest, NothingButInsecureIsNeededToTryItOut) {
  const CollectorOptions options =
      LoadCollectorOptions("", {.insecure = true, .grpc_listen = {}, .http_listen = {}}, loader_);
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_EQ(options.grpc.ToString(), "127.0.0.1:10235");
  EXPECT_EQ(options.http.ToString(), "127.0.0.1:10236");
  EXPECT_FALSE(options.trust.has_value());
}

TEST_F(CollectorConfigTest, ReadsEveryKey) {
  test::WriteFile(dir_ / "ca", "-----BEGIN CERTIFICATE-----\nca\n");
  test::WriteFile(dir_ / "cert", "-----BEGIN CERTIFICATE-----\ncert\n");
  test::WriteFile(dir_ / "key", "-----BEGIN PRIVATE KEY-----\nkey\n");
  test::WriteFile(dir_ / "keys", "# status page\n0123456789abcdef\n\n  fedcba9876543210 \n");
  const CollectorOptions options =
      Load(absl::StrCat(R"(
grpc: {listen: "10.235.0.4:10235"}
http: {listen: "[::1]:0", keys_file: )",
                        dir_ / "keys", R"(, job: ours}
tls: {ca: )",
                        dir_ / "ca", ", cert: ", dir_ / "cert", ", key: ", dir_ / "key", R"(}
data_dir: /var/lib/fleet-collector
trust: {certificate_lifetime: 40d, issuer_cert: )",
                        dir_ / "cert", ", issuer_key: ", dir_ / "key", R"(}
hosts: {parasect: {parent: tempo/tinc/parasect, parents: {sidekiq: tempo/redis}}}
limits: {hosts: 5, series_per_host: 6, message_bytes: 1MiB, reports_per_second: 7.5, http_connections: 8,
  connections: 9, connections_per_address: 3, handshakes_per_second: 2.5}
)"));
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_EQ(options.grpc.ToString(), "10.235.0.4:10235");
  EXPECT_EQ(options.http.ToString(), "[::1]:0");
  EXPECT_EQ(options.data_dir, "/var/lib/fleet-collector");
  ASSERT_TRUE(options.trust.has_value());
  EXPECT_THAT(options.trust->tls.key, HasSubstr("PRIVATE KEY"));
  EXPECT_EQ(options.trust->paths.cert, dir_ / "cert");
  ASSERT_TRUE(options.trust->issuer.has_value());
  EXPECT_THAT(options.trust->issuer->key_pem, HasSubstr("PRIVATE KEY"));
  EXPECT_EQ(options.trust->certificate_lifetime, absl::Hours(24 * 40));
  EXPECT_EQ(options.connections.total, 9);
  EXPECT_EQ(options.connections.per_address, 3);
  EXPECT_EQ(options.connections.handshakes_per_second, 2.5);
  EXPECT_EQ(options.connections.handshakes_burst, 25);
  EXPECT_THAT(options.keys, ElementsAre("0123456789abcdef", "fedcba9876543210"));
  EXPECT_EQ(options.job, "ours");
  EXPECT_EQ(options.hosts.at("parasect").parent(), "tempo/tinc/parasect");
  EXPECT_THAT(options.hosts.at("parasect").parents(), ElementsAre(Pair("sidekiq", "tempo/redis")));
  EXPECT_EQ(options.hosts_max, 5);
  EXPECT_EQ(options.series_per_host_max, 6);
  EXPECT_EQ(options.message_bytes_max, 1 << 20);
  EXPECT_EQ(options.reports_per_second_max, 7.5);
  EXPECT_EQ(options.http_connections_max, 8);
}

TEST_F(CollectorConfigTest, PlaintextStaysOnLoopback) {
  Load("insecure: true\ngrpc: {listen: \"10.235.0.4:10235\"}\n");
  EXPECT_THAT(loader_.Problems(),
              HasSubstr("collector.yaml:2: grpc.listen: insecure listens on loopback only"));
}

TEST_F(CollectorConfigTest, OverridesWin) {
  const CollectorOptions options =
      Load("insecure: true\ngrpc: {listen: \"127.0.0.1:1\"}\n",
           {.insecure = false, .grpc_listen = "127.0.0.1:0", .http_listen = "127.0.0.1:0"});
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_EQ(options.grpc.port, 0);
  EXPECT_EQ(options.http.port, 0);
}

TEST_F(CollectorConfigTest, AllProblemsAtOnce) {
  test::WriteFile(dir_ / "keys", "short\n");
  Load(absl::StrCat(R"(grpc: {listen: "nonsense"}
http:
  listen: "::1:5"
  keys_file: )",
                    dir_ / "keys", R"(
  jbo: x
tls: {ca: /nowhere/ca.pem, cert: "", key: )",
                    dir_ / "keys", R"(}
insecure: true
hosts:
  -bad: {}
  tempo: {parent: "tempo//x"}
trust: {issuer_cert: /nowhere/issuer.pem, certificate_lifetime: 1d}
limits: {hosts: 0, message_bytes: 1GiB}
)"));
  std::vector<std::string> fields;
  for (const ConfigProblem& problem : loader_.problems()) fields.push_back(problem.field);
  EXPECT_THAT(fields,
              ::testing::IsSupersetOf(
                  {"grpc.listen", "http.listen", "http.keys_file", "http.jbo", "tls.ca", "tls.cert",
                   "tls.key", "data_dir", "trust.issuer_cert", "trust.issuer_key",
                   "trust.certificate_lifetime", "insecure", "hosts.-bad", "hosts.tempo.parent",
                   "limits.hosts", "limits.message_bytes"}))
      << loader_.Problems();
  EXPECT_THAT(loader_.Problems(), HasSubstr("collector.yaml:5: http.jbo"));
}

TEST_F(CollectorConfigTest, SaysWhatIsMissingWithoutAnyConfig) {
  LoadCollectorOptions("", {}, loader_);
  EXPECT_THAT(loader_.Problems(), HasSubstr("tls: expected ca, cert and key"));
}

TEST(IsParentTest, HostCheckItem) {
  // An item may begin with a slash: a mount does.
  for (const char* text : {"tempo", "tempo/tinc", "tempo/tinc/parasect", "tempo/disk//data"}) {
    EXPECT_TRUE(IsParent(text)) << text;
  }
  for (const char* text : {"", "/", "tempo/", "/tinc", "tempo//", "te mpo", "../x"}) {
    EXPECT_FALSE(IsParent(text)) << text;
  }
}

TEST(IsHostNameTest, AcceptsNamesOnly) {
  for (const char* name : {"tempo", "tempo.chitter.xyz", "a", "web-01", "web_01", "10.0.0.1"}) {
    EXPECT_TRUE(IsHostName(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("-a"), std::string("a-"), std::string("."), std::string("a b"),
        std::string("a/b"), std::string("a\"b"), std::string("a\n"), std::string("*.x.y"),
        std::string("a\0b", 3), std::string(254, 'a'), std::string("h\xc3\xb6st")}) {
    EXPECT_FALSE(IsHostName(name)) << name;
  }
}

TEST_F(CollectorConfigTest, ReadsReceiversOfRemoteWrite) {
  test::WriteFile(dir_ / "secret", "hunter2hunter2\n");
  const CollectorOptions options = Load(absl::StrCat(R"(
insecure: true
data_dir: /tmp
remote_write:
  - http://127.0.0.1:9090/api/v1/write
  - {url: "https://mimir.example/api/v1/push", name: mimir, user: fleet, password_file: )",
                                                     dir_ / "secret", R"(,
     headers: {X-Scope-OrgID: chitter}, timeout: 5s, samples_per_request: 100, backfill: 1h}
)"));
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_EQ(options.remote_write.size(), 2u);
  EXPECT_EQ(options.remote_write[0].url, "http://127.0.0.1:9090/api/v1/write");
  EXPECT_EQ(options.remote_write[0].name, "127.0.0.1:9090");
  EXPECT_EQ(options.remote_write[0].backfill, absl::InfiniteDuration());
  const ReceiverOptions& mimir = options.remote_write[1];
  EXPECT_EQ(mimir.name, "mimir");
  EXPECT_EQ(mimir.user, "fleet");
  EXPECT_EQ(mimir.password_file, dir_ / "secret");
  EXPECT_THAT(mimir.headers, ElementsAre(Pair("X-Scope-OrgID", "chitter")));
  EXPECT_EQ(mimir.timeout, absl::Seconds(5));
  EXPECT_EQ(mimir.samples_per_request, 100u);
  EXPECT_EQ(mimir.backfill, absl::Hours(1));
}

TEST_F(CollectorConfigTest, FindsEveryProblemOfReceivers) {
  Load(R"(
insecure: true
remote_write:
  - {url: "ftp://x/"}
  - {url: "http://user:word@tsdb/write", name: a, user: u}
  - {url: "http://tsdb/write", name: a, password_file: /nowhere, ca: /nowhere, timeout: 0s}
  - {url: "http://tsdb/write", samples_per_request: 0, headers: {"a b": c}}
)");
  const std::string problems = loader_.Problems();
  for (const char* expected :
       {":4: remote_write[0].url: expected a URL such as",
        ":5: remote_write[1].url: expected no password",
        ":5: remote_write[1].user: expected user and password_file, both or none",
        ":6: remote_write[2].name: another receiver is called",
        ":6: remote_write[2].password_file: ", ":6: remote_write[2].ca: cannot read",
        ":6: remote_write[2].timeout: expected",
        ":7: remote_write[3].samples_per_request: expected 1 to",
        "remote_write[3].headers.a b: expected", "data_dir: expected a folder"}) {
    EXPECT_THAT(problems, HasSubstr(expected));
  }
}

}  // namespace
}  // namespace fleet::collector
