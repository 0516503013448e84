#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/probes/probes.h"
#include "collector/web/announcements.h"
#include "collector/web/options.h"

namespace fleet::collector {

/// How a component stands, from best to worst; what nobody could look at is not counted as good.
enum class ComponentState { kOperational, kDegraded, kMaintenance, kUnknown, kPartial, kDown };
/// "operational", "slow", "under maintenance", "not known", "partial outage", "down".
absl::string_view ComponentStateText(ComponentState state);

/// One published probe.
struct Component {
  std::string token;
  std::string name;
  ComponentState state = ComponentState::kUnknown;
  std::string reason;     // why it is not operational; may be empty
  std::string caused_by;  // the path of the parent that failed
  absl::Time created_at;
  absl::Time since = absl::InfinitePast();             // of a downtime that goes on
  std::vector<std::optional<double>> daily;            // percent of each day, oldest first
  std::vector<std::optional<double>> response_millis;  // mean of each hour, oldest first
  std::optional<double> apdex;                         // of those hours
  std::optional<Downtime> downtime;                    // that goes on
};

struct ShownDowntime {
  Downtime downtime;
  std::string name;  // the component's
};

/// Everything that pages, feeds and JSON say. A value: whatever is rendered from it agrees.
struct StatusModel {
  static constexpr int kDays = 90;
  static constexpr int kHours = 24;
  static constexpr size_t kComponentsMax = 200;
  static constexpr size_t kDowntimesMax = 50;  // that are over

  StatusPageOptions page;
  absl::Time generated_at;
  absl::Time valid_until;  // after it nothing of this may be believed
  std::vector<Component> components;
  size_t components_left_out = 0;
  std::vector<ShownDowntime> past;  // newest first
  size_t past_left_out = 0;
  std::vector<Announcement> announcements;  // newest first
  std::string problem;                      // why something is missing; empty: nothing is
};

/// The whole in one word.
struct Overall {
  /// "none", "minor", "major" or "critical", as Statuspage has it.
  absl::string_view indicator;
  /// The class of its colour: "ok", "warn", "bad", "none" (not known).
  absl::string_view tone;
  std::string text;
};
Overall OverallOf(const StatusModel& model);

/// The class of the colour of a state, as Overall::tone.
absl::string_view ToneOf(ComponentState state);

/// Mean of the days that are known; nothing when none is.
std::optional<double> UptimeOf(const Component& component);
/// "100 %", "99.98 %": never rounded up to 100.
std::string PercentText(double percent);

/// How a probe is shown. Pure.
Component ToComponent(const ProbeView& view, absl::Time now);

/// Asks for everything; waits for databases. `probes` may be null. What cannot be read is missing
/// and named in `problem`.
StatusModel CollectStatus(const StatusPageOptions& page, Probes* probes,
                          absl::Span<const Announcement> announcements, absl::Time now,
                          absl::Duration valid_for);

}  // namespace fleet::collector
