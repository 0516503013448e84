#include "agent/config.h"

#include "fleet/v1/agent_config.pb.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

AgentSettings Load(const std::string& text, std::string& problems) {
  ConfigLoader loader;
  v1::AgentConfig config;
  loader.LoadText(text, "agent.yaml", config);
  AgentSettings settings = ToSettings(config, loader);
  problems = loader.Problems();
  return settings;
}

TEST(AgentConfigTest, NothingNeedsConfiguring) {
  std::string problems;
  const AgentSettings settings = Load("", problems);
  EXPECT_EQ(problems, "");
  EXPECT_EQ(settings.interval, absl::Seconds(10));
  EXPECT_TRUE(settings.schedules.empty());
  EXPECT_EQ(settings.checks.disk.warn_ratio, DiskOptions().warn_ratio);
}

TEST(AgentConfigTest, WhatIsNamedIsConfigured) {
  std::string problems;
  const AgentSettings settings = Load(R"(
collector: 127.0.0.1:1
insecure: true
checks:
  disk: {warn: 80%, interval: 1m, parent: tempo}
  redis: {address: "127.0.0.1:6379"}
  minio: off
)",
                                      problems);
  EXPECT_EQ(problems, "");
  EXPECT_THAT(settings.collectors, ElementsAre("127.0.0.1:1"));
  EXPECT_EQ(settings.checks.disk.warn_ratio, 0.8);
  EXPECT_EQ(settings.checks.disk.crit_ratio, DiskOptions().crit_ratio);
  EXPECT_TRUE(settings.schedules.at("disk").configured);
  EXPECT_EQ(settings.schedules.at("disk").interval, absl::Minutes(1));
  EXPECT_EQ(settings.schedules.at("disk").parent, "tempo");
  EXPECT_FALSE(settings.schedules.at("minio").enabled);
  EXPECT_EQ(settings.checks.redis.servers[0].address, "127.0.0.1:6379");
  EXPECT_EQ(settings.schedules.count("tinc"), 0u);
}

TEST(AgentConfigTest, RefusesPlaintextAcrossTheNetwork) {
  std::string problems;
  Load("collector: 10.235.0.4:10235\ninsecure: true\n", problems);
  EXPECT_EQ(problems,
            "agent.yaml:1: collector[0]: insecure: true is possible only with a collector on "
            "loopback");
  Load("collector: [\"127.0.0.1:1\", \"[::1]:2\", \"localhost:3\"]\ninsecure: true\n", problems);
  EXPECT_EQ(problems, "");
}

TEST(AgentConfigTest, WantsCertificatesOtherwise) {
  std::string problems;
  Load("collector: 10.235.0.4:10235\n", problems);
  EXPECT_THAT(problems, HasSubstr("tls: expected ca, cert and key"));
  const AgentSettings kept = Load("collector: 10.235.0.4:10235\ndata_dir: /none/agent\n", problems);
  EXPECT_THAT(problems, HasSubstr("tls: this host has no certificate yet"));
  EXPECT_THAT(problems, HasSubstr("fleet-agent join"));
  EXPECT_EQ(kept.tls_cert, "/none/agent/tls/cert.pem");
  Load("collector: 10.235.0.4:10235\ndata_dir: /none\ntls: {ca: /none/ca}\n", problems);
  EXPECT_THAT(problems, HasSubstr("tls: expected all of ca, cert and key, or none of them"));
  Load("collector: 10.235.0.4:10235\ntls: {ca: /none/ca, cert: /none/c, key: /none/k}\n", problems);
  EXPECT_THAT(problems, HasSubstr("agent.yaml:2: tls.ca: open /none/ca"));
  EXPECT_THAT(problems, HasSubstr("agent.yaml:2: tls.key: open /none/k"));
}

TEST(AgentConfigTest, SaysEverythingThatIsWrong) {
  std::string problems;
  Load(R"(
collector: nowhere
insecure: true
interval: 1ms
checks:
  redis:
    servers: [{name: a, address: "h:1"}, {name: a, address: nonsense, password_file: /none}]
  tinc: {peers: [x, x]}
  minio: {flavour: gcs, servers: [{name: m, url: "http://a"}, {name: m, url: "http://b"}]}
  postgres: {servers: [{name: p}]}
  disk: {warn: 90%, crit: 80%, full_within_warn: 1h}
  memory: {available_warn: 2%}
)",
       problems);
  for (const char* expected :
       {"agent.yaml:2: collector[0]: expected host:port, got \"nowhere\"",
        "agent.yaml:4: interval: expected an interval from 100ms to 24h",
        "checks.redis.servers[1].name: \"a\" stands in this list twice",
        "checks.redis.servers[1].address: expected host:port or /path/to/socket",
        "checks.redis.servers[1].password_file: open /none",
        "agent.yaml:8: checks.tinc.peers[1]: \"x\" stands in this list twice",
        "agent.yaml:9: checks.minio.flavour: expected minio or s3",
        "agent.yaml:9: checks.minio.servers[1].name: \"m\" stands in this list twice",
        "agent.yaml:10: checks.postgres.servers[0]: expected a dsn",
        "agent.yaml:11: checks.disk.crit: expected no less than warn",
        "agent.yaml:11: checks.disk.full_within_warn: expected no less than full_within_crit",
        "agent.yaml:12: checks.memory.available_warn: expected no less than available_crit"}) {
    EXPECT_THAT(problems, HasSubstr(expected));
  }
}

}  // namespace
}  // namespace fleet::agent
