#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "collector/probes/probes.h"

/// What happened to a probe, as updown's webhooks tell it. Pure.
namespace fleet::collector {

/// Whether updown has this kind of event: "still_down" and "notice" are ours alone.
bool IsWebhookEvent(absl::string_view kind);

/// "DOWN: https://chitter.xyz since 16:49:23 (UTC), reason: 502": one line for people.
std::string EventText(const ProbeEvent& event);

/// The body of a webhook: an array of one event. `base_url` is where links of ours lead.
std::string WebhookBody(const ProbeEvent& event, const std::string& base_url);
/// What chats that take Slack's messages want: {"text":"…"}.
std::string ChatBody(const ProbeEvent& event);

}  // namespace fleet::collector
