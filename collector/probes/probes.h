#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/probe/probe.h"

/// The collector's probes: what is asked, what came of it, and what follows. Words and formulae are
/// those of the updown API.
namespace fleet::collector {

/// One probe as it is defined, by collector.yaml or through the API. Immutable once published.
struct ProbeCheck {
  std::string token;  // unique, [a-z0-9], four of them when we make it
  std::string name;   // unique; in collector.yaml; else the alias or the URL
  std::string alias;
  std::string url;   // without credentials
  std::string type;  // https http tcp tcps icmp dns ws wss pulse
  absl::Duration period = absl::Seconds(60);
  double apdex_t = 0.5;      // seconds
  std::string string_match;  // three digits: the expected status; else text of the body
  bool enabled = true;
  bool published = false;
  std::vector<std::string> disabled_locations;  // vantages that do not look
  std::vector<std::string> recipients;          // "type:id"
  std::map<std::string, std::string> custom_headers;
  std::string http_verb = "GET/HEAD";
  std::string http_body;
  std::string mute_until;  // "", a time, "recovery" or "forever"
  std::string parent;      // "host", "host/check", "host/check/item": what it depends on
  // Hosts, "collector"; "all". Empty: the collector; of a check of the API, all, as with updown.
  std::vector<std::string> vantages;
  std::string module;        // what /probe calls its questions: "http_2xx"
  bool from_config = false;  // config wins: the API does not change it
  std::string pulse_key;     // of type pulse: the secret of its URL
  std::string component;     // its name on the status page; empty: alias, name
  std::string notice;        // expected to be down; when it works again, this is the news
  int vantages_down = 0;     // how many must see it fail; 0: two, one where there is one
  std::vector<int>
      certificate_days;  // when to warn; empty: 30, 14, 7, 1, as far as they make sense
  std::string unset;     // why it cannot be asked yet: "settings.media_object is not set"
  absl::Time created_at;
  bool both_families = false;  // IPv4 and IPv6 are looked at, each by itself
  probe::Spec spec;            // what the engine is asked; empty for a pulse
};

/// What one look saw, as a downtime keeps it. No headers: ours may be secrets.
struct SeenLook {
  static constexpr size_t kKept = 5;  // before a turn, as updown does

  absl::Time time;  // its start
  std::string vantage;
  bool up = false;
  std::string method;   // of HTTP, of the last request; empty: not HTTP, or not known
  int status = 0;       // of HTTP; 0: no answer
  std::string address;  // whom it talked to
  absl::Duration took;
  std::string error;
};

/// A confirmed failure.
struct Downtime {
  std::string id;  // 24 hexadecimal digits
  std::string token;
  std::string error;
  absl::Time started_at;
  std::optional<absl::Time> ended_at;     // none: it goes on
  std::optional<bool> partial;            // only some address family fails; none while it goes on
  std::string caused_by;                  // the path of the parent that had failed by then
  std::vector<SeenLook> down_looks = {};  // the last until it was confirmed, oldest first
  std::vector<SeenLook> up_looks = {};    // the last until its end was
};

/// How a probe stands now.
struct ProbeStatus {
  std::optional<int> last_status;
  double uptime = 100;                           // percent of the last 30 days, three decimals
  bool down = false;                             // confirmed
  absl::Time down_since = absl::InfinitePast();  // valid when down
  absl::Time up_since = absl::InfinitePast();    // InfinitePast: never seen up
  std::string error;                             // of now; empty when up
  std::string caused_by;          // while down: the root cause among hosts and checks
  bool pending = true;            // nobody has looked yet
  bool blind = false;             // no vantage can look; `error` says why
  bool expected_failure = false;  // it fails, and its `notice` says that this is known
  bool muted = false;             // nobody is told of what happens
  bool slow = false;              // the apdex of the current hour's answers is below 0.8
  absl::Time last_check_at = absl::InfinitePast();  // InfinitePast: never
  absl::Time next_check_at = absl::InfinitePast();
  int failing_vantages = 0;
  int vantages = 1;
  std::optional<probe::TlsFacts> tls;  // the newest
  absl::Time tls_tested_at = absl::InfinitePast();
  std::map<std::string, std::string> reported;  // headers asked for: {"upstream", "tempo"}
};

struct ProbeView {
  std::shared_ptr<const ProbeCheck> check;
  ProbeStatus status;
};

/// Upper edges of the histogram, seconds; compared with Timings::response.
inline constexpr std::array<double, 9> kResponseEdges = {0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32};

/// Of a span of time: what was counted. Sums add up; scores are made when they are asked for.
struct ProbeMetrics {
  int64_t samples = 0;
  int64_t failures = 0;
  std::array<int64_t, kResponseEdges.size()> under = {};  // cumulative, of successes
  // Sums over the successes, milliseconds.
  double redirect = 0, namelookup = 0, connection = 0, handshake = 0, response = 0, total = 0;
  double uptime = 100;  // percent of the span, from downtimes

  int64_t Satisfied(double apdex_t) const;  // under(T)
  int64_t Tolerated(double apdex_t) const;  // under(4T) - under(T)
  /// Three decimals; nothing without samples.
  std::optional<double> Apdex(double apdex_t) const;
  void Add(const ProbeMetrics& other);  // all but uptime
};

/// Something that happened to a probe, for webhooks and the feed. In the database before anybody is
/// told, in the same transaction as the downtime it tells of.
struct ProbeEvent {
  int64_t id = 0;    // grows
  std::string kind;  // check.down check.up check.still_down check.ssl_invalid check.ssl_valid
                     // check.ssl_expiration check.ssl_renewed check.performance_drop check.notice
  absl::Time time;
  std::string token;
  std::optional<Downtime> downtime;                     // down, up, still_down
  std::optional<probe::ServerCertificate> certificate;  // ssl_*; the new one of a renewal
  std::optional<probe::ServerCertificate> old_certificate;
  std::string ssl_error;  // "error code 20: unable to get local issuer certificate"
  int days_before_expiration = 0;
  int apdex_dropped_percent = 0;
  std::vector<std::pair<absl::Time, double>> apdex_by_hour;  // six, oldest first
  ProbeView view;  // as it stood then, as far as it is known
};

/// One look at it by one vantage.
struct ProbeLook {
  std::string token;
  std::string vantage;
  probe::Result result;
};

enum class MetricsGroup { kNone, kTime, kHost };

/// A vantage, as /api/nodes lists it.
struct Vantage {
  std::string name;  // "collector" or a host's
  bool up = true;
  std::string address;
};

/// All of them. Thread-safe. Reading is from memory and quick but for Downtimes, Metrics and
/// Events, which read the database.
class Probes {
 public:
  static constexpr size_t kChecksMax = 5'000;

  virtual ~Probes() = default;

  /// In the order of their definition: config first.
  virtual std::vector<ProbeView> List() const = 0;
  /// By token or, failing that, name.
  virtual std::optional<ProbeView> Find(absl::string_view token_or_name) const = 0;
  virtual std::vector<Vantage> Vantages() const = 0;

  /// Adds a check; `token`, `created_at`, `pulse_key` and `spec` are made here.
  /// Errors: kInvalidArgument with updown's message ("Period is not included in the list (given:
  /// 45)", several joined by ", "); kResourceExhausted beyond kChecksMax; the database's.
  virtual absl::StatusOr<ProbeView> Create(ProbeCheck check) = 0;
  /// Replaces the definition of check.token. Errors: as Create; kNotFound; kPermissionDenied for
  /// one that collector.yaml defines.
  virtual absl::StatusOr<ProbeView> Update(ProbeCheck check) = 0;
  /// Forgets it with its history. Errors: kNotFound; kPermissionDenied as Update.
  virtual absl::Status Remove(absl::string_view token) = 0;

  /// Newest first. An empty token: of all. Errors: the database's.
  virtual absl::StatusOr<std::vector<Downtime>> Downtimes(absl::string_view token, size_t offset,
                                                          size_t limit) = 0;
  virtual absl::StatusOr<std::optional<Downtime>> FindDowntime(absl::string_view id) = 0;
  /// What was counted in [from, to): under "" without a group, by "YYYY-MM-DDTHH:00:00Z" of the
  /// bucket's start, or by vantage. Errors: kNotFound; the database's.
  virtual absl::StatusOr<std::map<std::string, ProbeMetrics>> Metrics(absl::string_view token,
                                                                      absl::Time from,
                                                                      absl::Time to,
                                                                      MetricsGroup group) = 0;
  /// Percent of each of the last `days` days (UTC), oldest first; nothing before it was made.
  virtual absl::StatusOr<std::vector<std::optional<double>>> DailyUptime(absl::string_view token,
                                                                         int days) = 0;
  /// Those after `id`, oldest first.
  virtual absl::StatusOr<std::vector<ProbeEvent>> Events(int64_t after, size_t limit) = 0;
  /// Called whenever something has changed that a page or a webhook would show; on any thread,
  /// must return at once. Set before traffic, by several if need be; nullptr ends it for all.
  virtual void OnChange(std::function<void()> changed) = 0;

  /// A heartbeat for the check of type pulse with this token and key. `failed`: the sender says
  /// itself that it went wrong, with `message`. Errors: kNotFound for both, without a hint which.
  virtual absl::Status Pulse(absl::string_view token, absl::string_view key, bool failed,
                             absl::string_view message) = 0;

  /// A result that came from somewhere else than our own engine: a vantage's report.
  virtual void Observe(ProbeLook look) = 0;
};

}  // namespace fleet::collector
