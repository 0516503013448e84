#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/http/http_server.h"
#include "collector/probes/probe_route.h"
#include "common/scoped_fd.h"
#include "tests/support/fake_site.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"

// The same questions to Debian's prometheus-blackbox-exporter and to /probe: the same families,
// labels and values, but for times.
namespace fleet::collector {
namespace {

using ::fleet::test::FakeCertificates;
using ::fleet::test::FakeConnection;
using ::fleet::test::FakeSite;
using ::fleet::test::FreePort;
using ::fleet::test::HttpGet;
using ::fleet::test::Process;
using probe::Kind;
using probe::Spec;

/// Series and their values; HELP and TYPE lines stand for themselves.
using Exposition = std::map<std::string, double>;

Exposition Parse(const std::string& text) {
  Exposition parsed;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (absl::StartsWith(line, "#")) {
      parsed[std::string(line)] = 0;
    } else if (space != absl::string_view::npos &&
               absl::SimpleAtod(line.substr(space + 1), &value)) {
      parsed[std::string(line.substr(0, space))] = value;
    } else {
      ADD_FAILURE() << "no sample: " << line;
    }
  }
  return parsed;
}

bool IsTime(absl::string_view series) {
  return absl::StrContains(series, "_duration_seconds") ||
         absl::StartsWith(series, "probe_dns_lookup_time_seconds");
}

void ExpectSame(const std::string& ours_text, const std::string& theirs_text) {
  const Exposition ours = Parse(ours_text);
  const Exposition theirs = Parse(theirs_text);
  for (const auto& [series, value] : theirs) {
    const auto found = ours.find(series);
    if (found == ours.end()) {
      ADD_FAILURE() << "missing: " << series << " " << value;
    } else if (IsTime(series)) {
      EXPECT_NEAR(found->second, value, 2) << series;
      // What took no time there takes none here.
      EXPECT_TRUE(value != 0 || found->second == 0) << series << " " << found->second;
    } else {
      EXPECT_EQ(found->second, value) << series;
    }
  }
  for (const auto& [series, value] : ours) {
    EXPECT_TRUE(theirs.contains(series)) << "too much: " << series << " " << value;
  }
}

/// nginx with a port for plain HTTP and one for each kind of certificate.
class Site {
 public:
  Site() {
    std::string config = absl::StrReplaceAll(
        "daemon off; pid @/nginx.pid; error_log @/error.log; worker_processes 1; events {}\n"
        "http { access_log off; client_body_temp_path @/b; proxy_temp_path @/p; fastcgi_temp_path "
        "@/f; uwsgi_temp_path @/u; scgi_temp_path @/s;\n"
        "server { listen 127.0.0.1:PORT;\n"
        "  location / { return 200 \"hello\\n\"; }\n"
        "  location /one { return 302 /two; }\n"
        "  location /two { return 301 http://127.0.0.1:PORT/end; }\n"
        "  location /loop { return 302 /loop; }\n"
        "  location /500 { return 500; }\n"
        "  location /204 { return 204; }\n"
        "  location /file { alias @/ca.pem; }\n"
        "}\n",
        {{"@", certificates.dir()}, {"PORT", absl::StrCat(port)}});
    for (const char* kind : {"good", "expired", "future", "self-signed", "wrong-name"}) {
      tls_ports[kind] = FreePort();
      absl::StrAppend(&config, "server { listen 127.0.0.1:", tls_ports[kind],
                      " ssl http2; ssl_certificate ", certificates.certificate(kind),
                      "; ssl_certificate_key ", certificates.key(kind),
                      "; location / { return 200 \"hello\\n\"; } }\n");
    }
    const std::string path = certificates.dir() + "/nginx.conf";
    test::WriteFile(path, config + "}\n");
    process.emplace(std::vector<std::string>{"nginx", "-c", path});
    EXPECT_TRUE(test::WaitFor([&] { return test::AcceptsConnections(port); }));
  }
  std::string url(const std::string& path) const {
    return absl::StrCat("http://127.0.0.1:", port, path);
  }
  std::string tls_url(const std::string& kind) const {
    return absl::StrCat("https://localhost:", tls_ports.at(kind), "/");
  }
  std::string tls_address(const std::string& kind) const {
    return absl::StrCat("localhost:", tls_ports.at(kind));
  }

  const FakeCertificates certificates;
  const uint16_t port = FreePort();
  std::map<std::string, uint16_t> tls_ports;
  std::optional<Process> process;
};

constexpr char kModules[] = R"(modules:
  http_2xx: {prober: http}
  http_post_2xx: {prober: http, http: {method: POST}}
  http_ca: {prober: http, http: {tls_config: {ca_file: CA}}}
  http_insecure: {prober: http, http: {tls_config: {insecure_skip_verify: true}}}
  http_body: {prober: http, http: {fail_if_body_not_matches_regexp: ["nope"]}}
  http_header: {prober: http, http: {fail_if_header_not_matches: [{header: X, regexp: "y"}]}}
  http_stay: {prober: http, http: {follow_redirects: false}}
  http_302: {prober: http, http: {follow_redirects: false, valid_status_codes: [302]}}
  http_tls_only: {prober: http, http: {fail_if_not_ssl: true}}
  tcp_connect: {prober: tcp}
  tcp_ca: {prober: tcp, tcp: {tls: true, tls_config: {ca_file: CA}}}
  ssh_banner: {prober: tcp, tcp: {query_response: [{expect: "^SSH-2.0-"}]}}
  icmp: {prober: icmp}
  dns_a: {prober: dns, dns: {query_name: a.test, query_type: A}}
  dns_mx: {prober: dns, dns: {query_name: a.test, query_type: MX}}
  dns_soa: {prober: dns, dns: {query_name: a.test, query_type: SOA}}
  dns_unknown: {prober: dns, dns: {query_name: x.unknown, query_type: A}}
  dns_other: {prober: dns, dns: {query_name: a.test, query_type: A, validate_answer_rrs: {fail_if_not_matches_regexp: ["9.9.9.9"]}}}
)";

/// The same as the probe engine is asked.
std::map<std::string, Spec> Modules(const std::string& ca) {
  std::map<std::string, Spec> modules = BuiltinProbeModules();
  const Spec http = modules["http_2xx"];
  modules["http_ca"] = modules["http_insecure"] = http;
  modules["http_ca"].tls.ca_file = ca;
  modules["http_insecure"].tls.verify = false;
  modules["http_body"] = modules["http_header"] = modules["http_tls_only"] = http;
  modules["http_body"].http.body_matches = "nope";
  modules["http_header"].http.header_rules = {{"X", "y"}};
  modules["http_tls_only"].http.fail_if_not_tls = true;
  modules["http_stay"] = http;
  modules["http_stay"].http.redirects_max = 0;
  modules["http_302"] = modules["http_stay"];
  modules["http_302"].http.valid_status = {{302, 302}};
  modules["tcp_ca"] = modules["tls_connect"];
  modules["tcp_ca"].tls.ca_file = ca;
  modules["ssh_banner"].tcp.steps = {{"", "^SSH-2.0-"}};
  for (const char* type : {"A", "MX", "SOA"}) {
    Spec dns = modules["dns"];
    dns.dns.name = "a.test";
    dns.dns.type = type;
    modules[absl::StrCat("dns_", absl::AsciiStrToLower(type))] = dns;
  }
  modules["dns_other"] = modules["dns_unknown"] = modules["dns_a"];
  modules["dns_other"].dns.answer_matches = "9.9.9.9";
  modules["dns_unknown"].dns.name = "x.unknown";
  return modules;
}

/// Both, side by side.
class Pair {
 public:
  explicit Pair(const Site& site) {
    const std::string path = site.certificates.dir() + "/blackbox.yml";
    test::WriteFile(path, absl::StrReplaceAll(kModules, {{"CA", site.certificates.ca()}}));
    their_port_ = FreePort();
    blackbox_.emplace(
        std::vector<std::string>{"prometheus-blackbox-exporter", "--config.file=" + path,
                                 absl::StrCat("--web.listen-address=127.0.0.1:", their_port_)});
    ProbeRouteOptions options;
    options.modules = Modules(site.certificates.ca());
    options.any_target = true;
    route_ = std::make_unique<ProbeRoute>(std::move(options), nullptr, *engine_);
    HttpServer::Options server;
    server.listen = {"127.0.0.1", 0};
    auto started = HttpServer::Start(
        std::move(server),
        [this](const HttpRequest& request) { return route_->routes()[0].answer(request); },
        Clock::Real());
    EXPECT_THAT(started, test::IsOk());
    server_ = *std::move(started);
    EXPECT_TRUE(test::WaitFor([&] { return test::AcceptsConnections(their_port_); }));
  }

  void Compare(const std::string& module, const std::string& target,
               const std::string& more = "") const {
    const std::string path = absl::StrCat("/probe?module=", module, "&target=", target, more);
    SCOPED_TRACE(path);
    const test::HttpReply ours = HttpGet(server_->address().port, path);
    const test::HttpReply theirs = HttpGet(their_port_, path);
    EXPECT_EQ(ours.status, theirs.status);
    if (theirs.status == 200) {
      ExpectSame(ours.body, theirs.body);
    } else {
      EXPECT_EQ(ours.body, theirs.body);
    }
  }

 private:
  uint16_t their_port_ = 0;
  std::optional<Process> blackbox_;
  std::unique_ptr<probe::Engine> engine_ = probe::Engine::Create();
  std::unique_ptr<ProbeRoute> route_;
  std::unique_ptr<HttpServer> server_;
};

void CompareAll() {
  const Site site;
  const Pair pair(site);
  for (const char* path : {"/", "/one", "/loop", "/500", "/204", "/file"}) {
    pair.Compare("http_2xx", site.url(path));
  }
  pair.Compare("http_2xx", absl::StrCat("127.0.0.1:", site.port));
  pair.Compare("http_2xx", absl::StrCat("localhost:", site.port), "&hostname=other.test");
  pair.Compare("http_2xx", absl::StrCat("http://127.0.0.1:", FreePort(), "/"));
  pair.Compare("http_post_2xx", site.url("/"));
  pair.Compare("http_post_2xx", site.url("/one"));
  for (const char* module : {"http_body", "http_header", "http_stay", "http_tls_only"}) {
    pair.Compare(module, site.url("/"));
    pair.Compare(module, site.url("/one"));
  }
  pair.Compare("http_302", site.url("/one"));
  for (const char* kind : {"good", "expired", "future", "self-signed", "wrong-name"}) {
    for (const char* module : {"http_2xx", "http_ca", "http_insecure"}) {
      pair.Compare(module, site.tls_url(kind));
    }
    pair.Compare("tcp_ca", site.tls_address(kind));
  }
  pair.Compare("http_ca", absl::StrCat("https://127.0.0.1:", site.tls_ports.at("good"), "/"));
  pair.Compare("http_ca", absl::StrCat("https://127.0.0.1:", site.tls_ports.at("good"), "/"),
               "&hostname=www.chitter.test");

  const FakeSite ssh([](FakeConnection& connection) {
    connection.Write("SSH-2.0-OpenSSH_9.2\r\n");
    connection.WaitForClose();
  });
  const FakeSite other([](FakeConnection& connection) { connection.Write("220 smtp\r\n"); });
  pair.Compare("tcp_connect", ssh.address());
  pair.Compare("tcp_connect", absl::StrCat("127.0.0.1:", FreePort()));
  pair.Compare("ssh_banner", ssh.address());
  pair.Compare("ssh_banner", other.address());

  const uint16_t dns_port = FreePort();
  const Process dns({"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                     "--no-hosts", "--user=root", "--pid-file=", absl::StrCat("--port=", dns_port),
                     "--listen-address=127.0.0.1", "--bind-interfaces",
                     "--address=/a.test/192.0.2.7", "--mx-host=a.test,mail.a.test,10",
                     "--auth-server=ns.a.test,nothing0", "--auth-zone=a.test"});
  EXPECT_TRUE(test::WaitFor([&] { return test::AcceptsConnections(dns_port); }));
  for (const char* module : {"dns_a", "dns_mx", "dns_soa", "dns_unknown", "dns_other"}) {
    pair.Compare(module, absl::StrCat("127.0.0.1:", dns_port));
  }
  pair.Compare("dns_a", absl::StrCat("127.0.0.1:", FreePort()));

  test::WriteFile("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
  pair.Compare("icmp", "127.0.0.1");
  pair.Compare("icmp", "::1");

  pair.Compare("nonsense", site.url("/"));
  pair.Compare("http_2xx", "");
}

TEST(ProbeBlackboxTest, AgreesOnFamiliesLabelsAndValues) {
  for (const char* program :
       {"prometheus-blackbox-exporter", "nginx", "dnsmasq", "openssl", "faketime"}) {
    if (!test::HasProgram(program)) GTEST_SKIP() << "needs " << program;
  }
  // Its own network, so that pings are allowed in it whatever this machine says.
  bool entered = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    entered = true;
    const ScopedFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback = {};
    loopback.ifr_name[0] = 'l';
    loopback.ifr_name[1] = 'o';
    loopback.ifr_flags = IFF_UP;
    EXPECT_EQ(::ioctl(fd.get(), SIOCSIFFLAGS, &loopback), 0);
    CompareAll();
  }).join();
  if (!entered) GTEST_SKIP() << "needs a network namespace";
}

}  // namespace
}  // namespace fleet::collector
