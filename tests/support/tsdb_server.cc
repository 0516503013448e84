#include "tests/support/tsdb_server.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/http_client.h"
#include "tests/support/raw_http.h"

namespace fleet::test {
namespace {

using nlohmann::json;

json Results(const std::string& body) {
  const json reply = json::parse(body, nullptr, false);
  if (reply.is_discarded() || reply.value("status", "") != "success") return json::array();
  return reply["data"]["result"];
}

std::string Seconds(absl::Time time) {
  return absl::StrCat(absl::ToUnixMillis(time) / 1000, ".",
                      absl::Dec(absl::ToUnixMillis(time) % 1000, absl::kZeroPad3));
}

}  // namespace

bool TsdbServer::Installed(Kind kind) {
  return HasProgram(kind == Kind::kVictoriaMetrics ? "victoria-metrics" : "prometheus");
}

absl::string_view TsdbServer::Name(Kind kind) {
  switch (kind) {
    case Kind::kPrometheus:
      return "Prometheus";
    case Kind::kPrometheusWindow:
      return "PrometheusWithWindow";
    case Kind::kShipped:
      return "PrometheusAsShipped";
    case Kind::kVictoriaMetrics:
      return "VictoriaMetrics";
  }
  return "";
}

TsdbServer::TsdbServer(Kind kind, std::string scraped)
    : kind_(kind), scraped_(std::move(scraped)) {}

bool TsdbServer::Start() {
  std::vector<std::string> argv;
  if (kind_ == Kind::kVictoriaMetrics) {
    argv = {"victoria-metrics", absl::StrCat("-storageDataPath=", dir_ / "data"),
            absl::StrCat("-httpListenAddr=127.0.0.1:", port_), "-retentionPeriod=12",
            // A request of which no answer arrived is sent again.
            "-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s", "-search.disableCache"};
  } else {
    const bool window = kind_ == Kind::kPrometheusWindow;
    std::string config = window ? "storage: {tsdb: {out_of_order_time_window: 30d}}\n" : "{}\n";
    if (!scraped_.empty()) {
      config = absl::StrCat(
          "scrape_configs: [{job_name: fleet, scrape_interval: 1s, honor_labels: true, "
          "static_configs: [{targets: [\"",
          scraped_, "\"]}]}]\n");
    }
    WriteFile(dir_ / "prometheus.yml", config);
    const std::string shipped =
        absl::StrCat(FLEET_SOURCE_DIR, "/dashboards/prometheus/remote-write.yml");
    argv = {
        "prometheus",
        absl::StrCat("--config.file=", kind_ == Kind::kShipped ? shipped : dir_ / "prometheus.yml"),
        absl::StrCat("--storage.tsdb.path=", dir_ / "data"),
        absl::StrCat("--web.listen-address=127.0.0.1:", port_),
        "--web.enable-remote-write-receiver"};
  }
  process_.emplace(
      argv,
      Process::Options{
          .output_path = dir_ / "log", .environment = {}, .user = {}, .working_directory = {}});
  const char* const ready = kind_ == Kind::kVictoriaMetrics ? "/health" : "/-/ready";
  return WaitFor([&] { return HttpGet(port_, ready).status == 200; }, absl::Seconds(60));
}

void TsdbServer::Stop() {
  if (process_.has_value()) process_->Stop();
  process_.reset();
}

std::string TsdbServer::Get(absl::string_view target) const { return HttpGet(port_, target).body; }

std::optional<double> TsdbServer::Query(absl::string_view query, absl::Time at) const {
  const json rows = Results(
      Get(absl::StrCat("/api/v1/query?query=", PercentEncode(query), "&time=", Seconds(at))));
  if (rows.size() != 1) return std::nullopt;
  return std::stod(rows[0]["value"][1].get<std::string>());
}

std::vector<std::pair<double, double>> TsdbServer::Range(absl::string_view query, absl::Time from,
                                                         absl::Time to, absl::Duration step) const {
  const json rows = Results(
      Get(absl::StrCat("/api/v1/query_range?query=", PercentEncode(query), "&start=", Seconds(from),
                       "&end=", Seconds(to), "&step=", absl::ToDoubleSeconds(step))));
  std::vector<std::pair<double, double>> points;
  if (rows.size() != 1) return points;
  for (const json& value : rows[0]["values"]) {
    points.emplace_back(value[0].get<double>(), std::stod(value[1].get<std::string>()));
  }
  return points;
}

}  // namespace fleet::test
