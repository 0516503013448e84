#include "collector/updown/updown.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/updown/time_text.h"
#include "common/probe/probe.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// What URLs that came through the API may lead to.
probe::AddressGuard GuardOf(const probe::AllowList& allow) {
  return [allow](const std::string& address, int port) {
    return allow.AllowsAddress(address, port) ? "" : probe::RefusePrivateAddress(address, port);
  };
}

}  // namespace

absl::StatusOr<std::unique_ptr<Updown>> Updown::Open(const UpdownOptions& options, Parts parts) {
  std::unique_ptr<Updown> updown(new Updown(options, std::move(parts)));
  const Parts& own = updown->parts_;
  std::vector<Recipient> configured;
  for (const WebhookOptions& webhook : options.webhooks) {
    configured.push_back(ConfiguredWebhook(webhook.type, webhook.name, webhook.url));
  }
  FLEET_ASSIGN_OR_RETURN(updown->store_,
                         UpdownStore::Open(own.path("updown.db"), std::move(configured)));
  FLEET_ASSIGN_OR_RETURN(updown->webhook_store_, WebhookStore::Open(own.path("webhooks.db")));
  CheckRights rights;
  rights.allows_method = [allow = options.allow](absl::string_view method) {
    return allow.AllowsMethod(method);
  };
  rights.has_recipient = [store = updown->store_.get()](absl::string_view id) {
    return store->FindRecipient(id).has_value();
  };
  updown->api_ = std::make_unique<UpdownApi>(UpdownApi::Parts{.probes = own.probes,
                                                              .store = *updown->store_,
                                                              .keys = own.keys,
                                                              .clock = own.clock,
                                                              .rights = std::move(rights),
                                                              .public_url = options.public_url});
  updown->pulses_in_ = std::make_unique<PulsesIn>(own.probes, own.refused);
  return updown;
}

void Updown::Start(const std::string& address) {
  Webhooks::Parts parts{.probes = parts_.probes,
                        .recipients = *store_,
                        .store = *webhook_store_,
                        .clock = parts_.clock,
                        .events = &parts_.events};
  parts.base_url =
      options_.public_url.empty() ? absl::StrCat("http://", address) : options_.public_url;
  parts.guard = GuardOf(options_.allow);
  parts.ca_of = [this](const std::string& url) {
    for (const WebhookOptions& webhook : options_.webhooks) {
      if (webhook.url == url) return webhook.ca;
    }
    return std::string();
  };
  webhooks_ = std::make_unique<Webhooks>(std::move(parts));
  pulses_out_ = std::make_unique<PulsesOut>(options_.pulses, parts_.well, parts_.clock);
}

void Updown::Changed() {
  if (webhooks_ != nullptr) webhooks_->Wake();
}

std::vector<Routes::Route> Updown::Paths() {
  std::vector<Routes::Route> routes = api_->MakeRoutes();
  for (Routes::Route& route : pulses_in_->MakeRoutes()) routes.push_back(std::move(route));
  Routes::Route downtime;
  downtime.pattern = "/downtimes/*";
  downtime.answer = [this](const HttpRequest& request) { return ShowDowntime(request); };
  routes.push_back(std::move(downtime));
  return routes;
}

/// Where `details_url` leads.
HttpResponse Updown::ShowDowntime(const HttpRequest& request) {
  HttpResponse response;
  response.headers.emplace_back("Cache-Control", "no-store");
  const auto found = parts_.probes.FindDowntime(request.path[1]);
  if (!found.ok()) {
    response.status = 503;
    response.body = "try again\n";
    return response;
  }
  const std::optional<ProbeView> view =
      found->has_value() ? parts_.probes.Find((*found)->token) : std::nullopt;
  // Who may not see it must not learn that it is there.
  if (!view.has_value() || (!view->check->published && !parts_.keys.Allows(request))) {
    response.status = 404;
    response.body = "no such downtime\n";
    return response;
  }
  const Downtime& downtime = **found;
  const ProbeCheck& check = *view->check;
  response.body = absl::StrCat(
      check.component.empty() ? check.alias.empty() ? check.name : check.alias : check.component,
      " was down\nfrom   ", FormatApiTime(downtime.started_at), "\nuntil  ",
      downtime.ended_at.has_value() ? FormatApiTime(*downtime.ended_at) : "it goes on", "\nreason ",
      downtime.error, "\n");
  if (!downtime.caused_by.empty() && parts_.keys.Allows(request)) {
    absl::StrAppend(&response.body, "cause  ", downtime.caused_by, "\n");
  }
  return response;
}

void Updown::SetMetrics(SelfMetrics& metrics) const {
  if (webhooks_ == nullptr) return;
  const Webhooks::Counts& counts = webhooks_->counts();
  const auto set = [&metrics](absl::string_view result, uint64_t value) {
    metrics.Set(self::kWebhooks, {{"result", result}}, static_cast<double>(value));
  };
  set("delivered", counts.delivered);
  set("failed", counts.failed);
  set("given_up", counts.given_up);
  set("lost", counts.lost);
  for (const PulsesOut::Count& count : pulses_out_->counts()) {
    const auto pulse = [&](absl::string_view result, uint64_t value) {
      metrics.Set(self::kPulses, {{"to", count.name}, {"result", result}},
                  static_cast<double>(value));
    };
    pulse("sent", count.sent);
    pulse("failed", count.failed);
    pulse("held", count.held);
  }
}

}  // namespace fleet::collector
