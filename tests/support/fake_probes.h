#pragma once

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/probes/probes.h"

namespace fleet::test {

/// Probes whose answers a test sets. Not thread-safe: set before others read.
class FakeProbes final : public collector::Probes {
 public:
  /// Adds a probe that is up and returns it, to be changed.
  collector::ProbeView& Add(const std::string& token, const std::string& url) {
    auto check = std::make_shared<collector::ProbeCheck>();
    check->token = token;
    check->name = url;
    check->url = url;
    check->type = "https";
    check->published = true;
    check->created_at = absl::FromUnixSeconds(1'500'000'000);
    collector::ProbeView& view = views.emplace_back();
    view.check = std::move(check);
    view.status.pending = false;
    return view;
  }
  /// The definition of one that Add made, to be changed.
  static collector::ProbeCheck& Definition(collector::ProbeView& view) {
    return const_cast<collector::ProbeCheck&>(*view.check);
  }

  std::vector<collector::ProbeView> List() const override { return views; }
  std::optional<collector::ProbeView> Find(absl::string_view token_or_name) const override {
    for (const collector::ProbeView& view : views) {
      if (view.check->token == token_or_name || view.check->name == token_or_name) return view;
    }
    return std::nullopt;
  }
  std::vector<collector::Vantage> Vantages() const override { return vantages; }

  absl::StatusOr<collector::ProbeView> Create(collector::ProbeCheck check) override {
    if (!refuse.ok()) return refuse;
    check.token = absl::StrCat("t", 100 + views.size());
    collector::ProbeView& view = views.emplace_back();
    view.check = std::make_shared<const collector::ProbeCheck>(std::move(check));
    return view;
  }
  absl::StatusOr<collector::ProbeView> Update(collector::ProbeCheck check) override {
    if (!refuse.ok()) return refuse;
    for (collector::ProbeView& view : views) {
      if (view.check->token != check.token) continue;
      if (view.check->from_config) return absl::PermissionDeniedError("is in collector.yaml");
      view.check = std::make_shared<const collector::ProbeCheck>(std::move(check));
      return view;
    }
    return absl::NotFoundError("no such check");
  }
  absl::Status Remove(absl::string_view token) override {
    const size_t removed = std::erase_if(
        views, [&](const collector::ProbeView& view) { return view.check->token == token; });
    return removed == 0 ? absl::NotFoundError("no such check") : absl::OkStatus();
  }

  absl::StatusOr<std::vector<collector::Downtime>> Downtimes(absl::string_view token, size_t offset,
                                                             size_t limit) override {
    std::vector<collector::Downtime> found;
    for (const collector::Downtime& downtime : downtimes) {
      if (!token.empty() && downtime.token != token) continue;
      if (offset > 0) {
        --offset;
      } else if (found.size() < limit) {
        found.push_back(downtime);
      }
    }
    return found;
  }
  absl::StatusOr<std::optional<collector::Downtime>> FindDowntime(absl::string_view id) override {
    for (const collector::Downtime& downtime : downtimes) {
      if (downtime.id == id) return downtime;
    }
    return std::nullopt;
  }
  absl::StatusOr<std::map<std::string, collector::ProbeMetrics>> Metrics(
      absl::string_view token, absl::Time from, absl::Time to,
      collector::MetricsGroup group) override {
    if (!Find(token).has_value()) return absl::NotFoundError("no such check");
    asked_from = from;
    asked_to = to;
    return metrics[group];
  }
  absl::StatusOr<std::vector<std::optional<double>>> DailyUptime(absl::string_view,
                                                                 int days) override {
    std::vector<std::optional<double>> found(static_cast<size_t>(days), 100.0);
    for (const auto& [days_ago, uptime] : daily) found[found.size() - 1 - days_ago] = uptime;
    return found;
  }
  absl::StatusOr<std::vector<collector::ProbeEvent>> Events(int64_t after, size_t limit) override {
    std::vector<collector::ProbeEvent> found;
    for (const collector::ProbeEvent& event : events) {
      if (event.id > after && found.size() < limit) found.push_back(event);
    }
    return found;
  }
  void OnChange(std::function<void()> callback) override { changed = std::move(callback); }
  absl::Status Pulse(absl::string_view token, absl::string_view key, bool failed,
                     absl::string_view message) override {
    const std::optional<collector::ProbeView> view = Find(token);
    if (!view.has_value() || view->check->pulse_key != key) return absl::NotFoundError("no pulse");
    pulses.push_back(absl::StrCat(token, failed ? " failed " : " ok ", message));
    return absl::OkStatus();
  }
  void Observe(collector::ProbeLook look) override { looks.push_back(std::move(look)); }

  std::vector<collector::ProbeView> views;
  std::vector<collector::Vantage> vantages;
  std::vector<collector::Downtime> downtimes;  // newest first
  std::map<collector::MetricsGroup, std::map<std::string, collector::ProbeMetrics>> metrics;
  std::map<size_t, std::optional<double>> daily;  // by days ago
  std::vector<collector::ProbeEvent> events;
  std::vector<std::string> pulses;
  std::vector<collector::ProbeLook> looks;
  absl::Status refuse;
  absl::Time asked_from, asked_to;
  std::function<void()> changed;
};

}  // namespace fleet::test
