#include "collector/config.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "collector/probes/probe_config.h"
#include "common/escape.h"
#include "common/host_name.h"

namespace fleet::collector {
namespace {

constexpr size_t kKeyBytesMin = 16;
constexpr absl::Duration kCertificateLifetimeMin = absl::Hours(24 * 30);

void ReadListen(const std::string& text, const std::string& field, Address& address,
                ConfigLoader& loader) {
  if (text.empty()) return;
  absl::StatusOr<Address> parsed = ParseAddress(text);
  if (parsed.ok()) {
    address = *std::move(parsed);
  } else {
    loader.AddProblem(field, std::string(parsed.status().message()));
  }
}

std::string ReadPem(const std::string& path, const std::string& field, ConfigLoader& loader) {
  if (path.empty()) {
    loader.AddProblem(field, "expected the path of a PEM file");
    return {};
  }
  absl::StatusOr<std::string> text = ReadSecretFile(path);
  if (!text.ok()) {
    loader.AddProblem(field, std::string(text.status().message()));
    return {};
  }
  if (!absl::StrContains(*text, "-----BEGIN ")) {
    loader.AddProblem(field, absl::StrCat("no PEM block in ", Quote(path)));
  }
  return *std::move(text);
}

/// A path as it can be looked at again: ReadSecretFile looks for a relative one elsewhere.
std::string Lasting(const std::string& path) {
  return path.empty() || path[0] == '/' ? path : std::string();
}

void ReadIssuer(const v1::CollectorConfig& config, TrustOptions& trust, ConfigLoader& loader) {
  const v1::TrustConfig& from = config.trust();
  if (!from.issuer_cert().empty() || !from.issuer_key().empty()) {
    trust.issuer.emplace();
    trust.issuer->certificate_pem = ReadPem(from.issuer_cert(), "trust.issuer_cert", loader);
    trust.issuer->key_pem = ReadPem(from.issuer_key(), "trust.issuer_key", loader);
    trust.paths.issuer_cert = Lasting(from.issuer_cert());
    trust.paths.issuer_key = Lasting(from.issuer_key());
  }
  if (from.has_certificate_lifetime()) {
    trust.certificate_lifetime = absl::Seconds(from.certificate_lifetime());
    if (trust.certificate_lifetime < kCertificateLifetimeMin) {
      loader.AddProblem("trust.certificate_lifetime", "expected at least 30d");
    }
  }
  if (from.has_test_certificate_lifetime()) {
    trust.certificate_lifetime = absl::Seconds(from.test_certificate_lifetime());
  }
}

/// Without tls, what lies in data_dir/tls is taken, where `fleetctl ca init` says to put it.
void TakeTlsOfDataDir(v1::CollectorConfig& config) {
  const std::string directory = config.data_dir() + "/tls/";
  v1::TlsConfig& tls = *config.mutable_tls();
  tls.set_ca(directory + "ca.pem");
  tls.set_cert(directory + "cert.pem");
  tls.set_key(directory + "key.pem");
  v1::TrustConfig& trust = *config.mutable_trust();
  if (!trust.issuer_cert().empty() || !trust.issuer_key().empty()) return;
  if (absl::IsNotFound(ReadSecretFile(directory + "issuer.key").status())) return;
  trust.set_issuer_cert(directory + "issuer.pem");
  trust.set_issuer_key(directory + "issuer.key");
}

void ReadTls(v1::CollectorConfig& config, CollectorOptions& options, ConfigLoader& loader) {
  const bool in_data_dir =
      !config.data_dir().empty() && ReadSecretFile(config.data_dir() + "/tls/cert.pem").ok();
  if (!config.has_tls() && !config.insecure() && in_data_dir) TakeTlsOfDataDir(config);
  if (config.has_tls()) {
    TrustOptions trust;
    trust.tls.ca = ReadPem(config.tls().ca(), "tls.ca", loader);
    trust.tls.cert = ReadPem(config.tls().cert(), "tls.cert", loader);
    trust.tls.key = ReadPem(config.tls().key(), "tls.key", loader);
    trust.paths.ca = Lasting(config.tls().ca());
    trust.paths.cert = Lasting(config.tls().cert());
    trust.paths.key = Lasting(config.tls().key());
    ReadIssuer(config, trust, loader);
    options.trust = std::move(trust);
    if (config.data_dir().empty()) {
      loader.AddProblem("data_dir", "expected with tls: who was revoked must outlive a restart");
    }
  }
  if (config.has_trust() && config.insecure()) {
    loader.AddProblem("trust", "there is none with insecure");
  }
  if (config.insecure() && config.has_tls()) {
    loader.AddProblem("insecure", "either tls or insecure, not both");
  } else if (config.insecure() && !IsLoopback(options.grpc.host)) {
    loader.AddProblem(
        "grpc.listen",
        absl::StrCat("insecure listens on loopback only, such as 127.0.0.1:10235, not ",
                     options.grpc.ToString()));
  } else if (!config.insecure() && !config.has_tls()) {
    loader.AddProblem(
        "tls",
        "expected ca, cert and key here or below data_dir/tls; fleetctl ca init makes "
        "them (or insecure: true on loopback, to try it out)");
  }
}

void ReadKeys(const std::string& path, CollectorOptions& options, ConfigLoader& loader) {
  if (path.empty()) return;
  const absl::StatusOr<std::string> text = ReadSecretFile(path);
  if (!text.ok()) {
    loader.AddProblem("http.keys_file", std::string(text.status().message()));
    return;
  }
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    if (line.size() < kKeyBytesMin) {
      loader.AddProblem("http.keys_file",
                        absl::StrCat("line ", number, " of ", Quote(path),
                                     ": expected a key of at least ", kKeyBytesMin, " characters"));
      continue;
    }
    options.keys.emplace_back(line);
  }
}

void ReadHosts(const v1::CollectorConfig& config, CollectorOptions& options, ConfigLoader& loader) {
  for (const auto& [name, host] : config.hosts()) {
    const std::string field = absl::StrCat("hosts.", name);
    if (!IsHostName(name)) loader.AddProblem(field, "expected a host name");
    const auto check = [&loader](const std::string& at, const std::string& parent) {
      if (IsParent(parent)) return;
      loader.AddProblem(
          at, absl::StrCat(Quote(parent), ": expected host, host/check or host/check/item"));
    };
    if (!host.parent().empty()) check(absl::StrCat(field, ".parent"), host.parent());
    for (const auto& [of, parent] : host.parents()) {
      check(absl::StrCat(field, ".parents.", of), parent);
    }
    options.hosts.emplace(name, host);
  }
}

void ReadLimits(const v1::LimitsConfig& limits, CollectorOptions& options, ConfigLoader& loader) {
  const auto positive = [&loader](bool has, double value, const char* field) {
    if (has && !(value > 0)) loader.AddProblem(field, "expected more than 0");
    return has && value > 0;
  };
  if (positive(limits.has_hosts(), limits.hosts(), "limits.hosts")) {
    options.hosts_max = limits.hosts();
  }
  if (positive(limits.has_series_per_host(), limits.series_per_host(), "limits.series_per_host")) {
    options.series_per_host_max = limits.series_per_host();
  }
  if (positive(limits.has_message_bytes(), static_cast<double>(limits.message_bytes()),
               "limits.message_bytes")) {
    if (limits.message_bytes() > (256 << 20)) {
      loader.AddProblem("limits.message_bytes", "expected at most 256MiB");
    } else {
      options.message_bytes_max = static_cast<size_t>(limits.message_bytes());
      // The lanes' messages under way, and what the kernel holds besides.
      options.connections.unread_bytes = 4 * options.message_bytes_max + (size_t{16} << 20);
    }
  }
  if (positive(limits.has_reports_per_second(), limits.reports_per_second(),
               "limits.reports_per_second")) {
    options.reports_per_second_max = limits.reports_per_second();
  }
  if (positive(limits.has_http_connections(), limits.http_connections(),
               "limits.http_connections")) {
    options.http_connections_max = limits.http_connections();
  }
  if (positive(limits.has_connections(), limits.connections(), "limits.connections")) {
    options.connections.total = limits.connections();
  }
  if (positive(limits.has_connections_per_address(), limits.connections_per_address(),
               "limits.connections_per_address")) {
    options.connections.per_address = limits.connections_per_address();
  }
  if (positive(limits.has_handshakes_per_second(), limits.handshakes_per_second(),
               "limits.handshakes_per_second")) {
    options.connections.handshakes_per_second = limits.handshakes_per_second();
    options.connections.handshakes_burst = 10 * limits.handshakes_per_second();
  }
}

void ReadJournal(const v1::CollectorConfig& config, CollectorOptions& options,
                 ConfigLoader& loader) {
  const v1::JournalConfig& journal = config.journal();
  if (config.has_journal() && config.data_dir().empty()) {
    loader.AddProblem("journal", "expected data_dir as well: that is where it is kept");
  }
  if (journal.has_max_age()) {
    options.journal.max_age = absl::Seconds(journal.max_age());
    if (!(journal.max_age() >= 3600)) loader.AddProblem("journal.max_age", "expected at least 1h");
  }
  if (journal.has_max_bytes()) {
    if (journal.max_bytes() < (64 << 20)) {
      loader.AddProblem("journal.max_bytes", "expected at least 64MiB");
    } else {
      options.journal.max_bytes = static_cast<uint64_t>(journal.max_bytes());
    }
  }
  if (journal.has_group_interval()) {
    options.journal.group_interval = absl::Seconds(journal.group_interval());
    if (!(journal.group_interval() >= 0.01 && journal.group_interval() <= 10)) {
      loader.AddProblem("journal.group_interval", "expected 10ms to 10s");
    }
  }
}

}  // namespace

bool IsParent(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('/', 2));
  if (!IsHostName(parts[0])) return false;
  for (const absl::string_view part : parts) {
    if (part.empty()) return false;
  }
  return true;
}

CollectorOptions LoadCollectorOptions(const std::string& path, const ConfigOverrides& overrides,
                                      ConfigLoader& loader) {
  v1::CollectorConfig config;
  if (path.empty()) {
    loader.LoadText("", "command line", config);
  } else {
    loader.LoadFile(path, config);
  }
  const auto& problems = loader.problems();
  // Without a file that can be read, what is missing in it is no news.
  if (!problems.empty() && problems.front().field.empty()) return {};
  if (overrides.insecure) config.set_insecure(true);
  if (!overrides.grpc_listen.empty()) config.mutable_grpc()->set_listen(overrides.grpc_listen);
  if (!overrides.http_listen.empty()) config.mutable_http()->set_listen(overrides.http_listen);

  CollectorOptions options;
  ReadListen(config.grpc().listen(), "grpc.listen", options.grpc, loader);
  ReadListen(config.http().listen(), "http.listen", options.http, loader);
  options.data_dir = config.data_dir();
  ReadTls(config, options, loader);
  ReadKeys(config.http().keys_file(), options, loader);
  if (!config.http().job().empty()) options.job = config.http().job();
  ReadHosts(config, options, loader);
  ReadLimits(config.limits(), options, loader);
  options.remote_write = ReadRemoteWrite(config, loader);
  options.probes = ReadProbes(config, loader);
  options.probe_modules = ReadProbeModules(config, loader);
  const std::string& targets = config.http().probe_targets();
  options.probe_any_target = targets == "any";
  if (!targets.empty() && targets != "any" && targets != "configured") {
    loader.AddProblem("http.probe_targets",
                      absl::StrCat("expected configured or any, not ", Quote(targets)));
  }
  options.updown = ReadUpdown(config, loader);
  ReadJournal(config, options, loader);
  options.status_page = ReadStatusPage(config, loader);
  options.publish = ReadPublish(config, loader);
  return options;
}

}  // namespace fleet::collector
