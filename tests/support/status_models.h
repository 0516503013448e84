#pragma once

#include <string>

#include "absl/time/time.h"
#include "collector/web/status_model.h"

namespace fleet::test {

/// A component with 90 days and 24 hours of a plausible past.
inline collector::Component MakeComponent(const std::string& token, const std::string& name,
                                          collector::ComponentState state, absl::Time now) {
  collector::Component component;
  component.token = token;
  component.name = name;
  component.state = state;
  component.created_at = now - absl::Hours(24 * 80);
  for (int day = 0; day < collector::StatusModel::kDays; ++day) {
    if (day < 10) {
      component.daily.push_back(std::nullopt);
    } else {
      component.daily.push_back(day == 40 ? 93.4 : day % 29 == 0 ? 99.6 : 100.0);
    }
  }
  for (int hour = 0; hour < collector::StatusModel::kHours; ++hour) {
    if (hour == 5) {
      component.response_millis.push_back(std::nullopt);
    } else {
      component.response_millis.push_back(120 + 17 * (hour * hour % 7) + (hour == 20 ? 160 : 0));
    }
  }
  component.apdex = 0.987;
  return component;
}

/// Four components that are well, with a past.
inline collector::StatusModel MakeModel(absl::Time now) {
  using collector::ComponentState;
  collector::StatusModel model;
  model.page.title = "chitter.xyz";
  model.page.description = "How chitter.xyz, its media and its streaming are doing.";
  model.generated_at = now;
  model.valid_until = now + absl::Minutes(5);
  model.components = {
      MakeComponent("1kae", "chitter.xyz", ComponentState::kOperational, now),
      MakeComponent("ljag", "Media", ComponentState::kOperational, now),
      MakeComponent("st3m", "Streaming", ComponentState::kOperational, now),
      MakeComponent("l0ng",
                    "A component whose name is a good deal longer than it would have to be, with "
                    "https://averylongaddress.example.com/without/any/place/to/break/it/apart",
                    ComponentState::kOperational, now),
  };
  model.past = {
      {{"66f255685d3c15c3bbe8fd6e", "ljag", "502 Bad Gateway", now - absl::Hours(50),
        now - absl::Hours(49), true, ""},
       "Media"},
      {{"66f255685d3c15c3bbe8fd6f", "1kae", "connection refused", now - absl::Hours(24 * 50),
        now - absl::Hours(24 * 50) + absl::Minutes(95), false, "tempo/tinc/parasect"},
       "chitter.xyz"}};
  model.announcements = {
      {"4f2a1c",
       {{now - absl::Hours(51), collector::AnnouncementState::kInvestigating,
         "Pictures load **slowly**. We are looking into it.", "rado"},
        {now - absl::Hours(48), collector::AnnouncementState::kResolved,
         "It was a disk; see [the notes](https://example.com/notes).", "rado"}}}};
  return model;
}

/// The second component has been down for twelve minutes.
inline void PutDown(collector::StatusModel& model, collector::ComponentState state) {
  collector::Component& component = model.components[1];
  component.state = state;
  component.reason = "502 Bad Gateway from upstream tempo, tried 3 times from 2 places";
  component.caused_by = "tempo/tinc/parasect";
  component.since = model.generated_at - absl::Minutes(12);
  component.daily.back() = 99.1;
}

}  // namespace fleet::test
