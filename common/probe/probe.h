#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/metric.h"
#include "common/probe/ip_family.h"
#include "common/report.h"

/// Looks from outside: one probe is one question to a URL, port or name, with what is expected of
/// the answer. Shared by the collector and by agents that are vantages.
namespace fleet::probe {

enum class Kind { kHttp, kTcp, kTls, kIcmp, kDns, kWebSocket };

/// "http", "tcp", "tls", "icmp", "dns", "websocket".
absl::string_view KindName(Kind kind);
/// The inverse; nothing for any other text.
std::optional<Kind> ParseKind(absl::string_view text);

/// A header of the last reply. Patterns are RE2, searched for anywhere in the value.
struct HeaderRule {
  std::string name;
  std::string pattern;
  bool must_match = true;      // false: it must not match
  bool allow_missing = false;  // a missing header passes
};

/// A value of a JSON body, named by its path: "contacts.0.name".
struct JsonRule {
  std::string path;
  std::optional<std::string> equals;  // as text; none: that it exists is enough
};

/// Inclusive.
struct StatusRange {
  int first = 200;
  int last = 299;
};

struct HttpSpec {
  std::string method = "GET";
  /// HEAD first, and GET when the server answers 405 to it.
  bool head_first = false;
  /// With head_first: asks both, judges GET's answer, and tells whether HEAD's had its status.
  bool compare_head = false;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<StatusRange> valid_status;  // empty: 2xx
  bool any_status = false;                // only the connection and the body count
  int redirects_max = 10;                 // 0: a redirect is the reply
  std::string body_contains;              // text that must stand in the first kBodyBytesMax
  std::string body_matches;               // RE2 that must be found there
  std::string body_does_not_match;        // RE2 that must not
  std::vector<HeaderRule> header_rules;
  std::vector<JsonRule> json_rules;
  std::vector<std::string> report_headers;  // whose values go into Result::reported
  std::string final_url;                    // after redirects it must be this; empty: whichever
  bool fail_if_tls = false;
  bool fail_if_not_tls = false;
  std::string user;  // basic authentication
  std::string password;
  std::string bearer_token;
};

/// One step of a conversation over TCP or TLS.
struct TcpStep {
  std::string send;        // as it is, but ${1} is what the pattern's first group found; after it
  std::string expect;      // RE2 that a line must match; empty: nothing is waited for
  bool start_tls = false;  // then TLS begins
};

struct TcpSpec {
  std::vector<TcpStep> steps;
  bool expect_closed = false;  // a connection that is refused or filtered is the success
};

struct DnsSpec {
  std::string name;        // what is asked; the target is the server, empty: the system's
  std::string type = "A";  // A AAAA CNAME MX NS TXT SOA SRV CAA PTR
  std::vector<std::string> valid_rcodes;  // empty: NOERROR
  std::string answer_matches;             // RE2 that an answer must match; empty: any
};

struct IcmpSpec {
  int count = 1;
  int payload_bytes = 28;
  double loss_max = 0;  // 0..1, more is a failure
};

struct WebSocketSpec {
  std::vector<std::pair<std::string, std::string>> headers;
};

struct TlsSpec {
  std::string server_name;  // SNI and the name to verify; empty: the target's host
  bool verify = true;
  std::string ca_file;                 // PEM; empty: the system's
  absl::Duration expires_within_fail;  // sooner is a failure; zero: only when expired
};

/// Which addresses may be connected to, asked for each one right before the connection is made, so
/// that neither a redirect nor a name that resolves anew gets around it. Thread-safe.
/// Returns why not; empty: it may. `address` is numeric, without port.
using AddressGuard = std::function<std::string(const std::string& address, int port)>;

/// Nothing but public unicast addresses: refuses loopback, link-local, private, shared, multicast
/// and reserved ones, also inside IPv4-mapped and NAT64 addresses.
std::string RefusePrivateAddress(const std::string& address, int port);

/// As RefusePrivateAddress, but what is in one of `networks` may be connected to as well: such as
/// "10.235.0.0/24", "fd00::/8", "127.0.0.1".
/// Errors: kInvalidArgument, naming what is no network.
absl::StatusOr<AddressGuard> MakeGuard(absl::Span<const std::string> networks);

/// One question.
struct Spec {
  Kind kind = Kind::kHttp;
  std::string
      target;  // a URL (http, websocket), "host:port" (tcp, tls), "host" (icmp), server (dns)
  IpFamily family = IpFamily::kAny;
  bool family_fallback = true;  // another family will do when there is no address of this one
  absl::Duration timeout = absl::Seconds(10);
  absl::Duration latency_max;  // longer is a failure; zero: any
  HttpSpec http;
  TcpSpec tcp;
  DnsSpec dns;
  IcmpSpec icmp;
  WebSocketSpec websocket;
  TlsSpec tls;
  AddressGuard guard;     // null: every address will do
  bool keep_log = false;  // fill Result::log
};

/// Phases of a probe; zero for those it did not need. They add up to about `total`.
struct Timings {
  absl::Duration redirect;  // everything before the last request
  absl::Duration namelookup;
  absl::Duration connection;
  absl::Duration handshake;  // TLS
  absl::Duration response;   // from the request's first byte to the answer's last
  absl::Duration total;
};

/// The certificate that a server showed.
struct ServerCertificate {
  std::string subject;              // common name, or the first alternative name
  std::string issuer;               // common name
  std::string issuer_organization;  // may be empty
  std::string algorithm;            // "SHA-256 with RSA encryption", as openssl words it otherwise
  std::string fingerprint;          // SHA-256, lower-case hexadecimal
  absl::Time not_before;
  absl::Time not_after;
  bool operator==(const ServerCertificate&) const = default;
};

/// What TLS showed, also when it was not believed.
struct TlsFacts {
  ServerCertificate certificate;
  absl::Time earliest_expiry;  // of the chain as sent
  int verify_error = 0;        // X509_V_*; 0: believed
  std::string verify_text;     // "unable to get local issuer certificate"
  std::string version;         // "TLS 1.3"
};

/// What came of one probe.
struct Result {
  absl::Time start;
  bool success = false;
  /// kBlind, kError: it could not be tried, so it says nothing of the target; `error` says why.
  UnknownKind unknown = UnknownKind::kNone;
  /// Short, as a person reads it: "502", "no_match", "Connection timeout (10 seconds)".
  std::string error;
  int status = 0;                   // of HTTP; 0 without an answer
  std::string method;               // of HTTP: of the last request; empty: there was none
  std::optional<bool> head_agrees;  // see HttpSpec::compare_head; none: not both answered
  IpFamily family = IpFamily::kAny;
  std::string address;  // whom we talked to
  Timings timings;
  std::optional<TlsFacts> tls;
  std::vector<std::pair<std::string, std::string>> reported;  // see HttpSpec::report_headers
  /// probe_*, as blackbox_exporter names them.
  SampleSet samples;
  /// What was done, line by line, for a person who asks why; see Spec::keep_log.
  std::vector<std::string> log;
};

/// Every family that Result::samples may hold.
absl::Span<const MetricDesc> Metrics();

/// Whether `spec` can be asked at all: its target, patterns, method, headers and numbers, without
/// touching the network. The engine answers others with kError.
/// Errors: kInvalidArgument, in words that name what is wrong.
absl::Status ValidateSpec(const Spec& spec);

/// Runs probes, many at once, on threads of its own. Thread-safe.
class Engine {
 public:
  static constexpr size_t kBodyBytesMax = 1 << 20;  // of an answer; the rest is not read
  static constexpr size_t kConcurrentMax = 512;     // more wait for their turn

  using Done = std::function<void(Result)>;

  static std::unique_ptr<Engine> Create();
  /// Ends what runs; its `done` is called with an error.
  virtual ~Engine() = default;

  /// Starts one probe and returns at once; `done` is called on a thread of the engine, once, within
  /// spec.timeout and a little of the probe's start. It must not block.
  virtual void Start(Spec spec, Done done) = 0;
  /// Waiting for their turn; running.
  virtual size_t waiting() const = 0;
  virtual size_t running() const = 0;
};

}  // namespace fleet::probe
