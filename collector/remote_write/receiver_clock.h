#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/http_client.h"

namespace fleet::collector {

/// What a receiver's clock says, by the Date of its answers, so that no sample leaves that lies in
/// its future: one such makes a TSDB refuse everybody's. Not thread-safe.
class ReceiverClock {
 public:
  /// Takes the Date of an answer that came at `now` and `steady`, if it has one.
  void Note(const ::fleet::HttpResponse& response, absl::Time now, SteadyTime steady) {
    const std::string* const text = response.header("Date");
    absl::Time date;
    if (text == nullptr || !absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", *text, &date, nullptr)) {
      return;
    }
    ahead_ = now - date;
    now_ = now;
    steady_ = steady;
  }

  /// How far our clock is ahead of the receiver's, if that was set no more than ours since the
  /// newest answer; nothing when none had a Date.
  std::optional<absl::Duration> Ahead(absl::Time now, SteadyTime steady) const {
    if (!ahead_.has_value()) return std::nullopt;
    const absl::Duration set = (now - now_) - (steady - steady_);
    return *ahead_ + set;
  }

 private:
  std::optional<absl::Duration> ahead_;
  absl::Time now_;
  SteadyTime steady_;
};

}  // namespace fleet::collector
