#include "fleetctl/moment.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::ctl {

absl::StatusOr<v1::Moment> ParseMoment(absl::string_view text) {
  v1::Moment moment;
  if (const absl::StatusOr<absl::Duration> ago = ParseDuration(text); ago.ok()) {
    moment.set_ago_seconds(absl::ToDoubleSeconds(*ago));
    return moment;
  }
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    absl::Time time;
    if (!absl::ParseTime(format, text, &time, nullptr)) continue;
    moment.set_unix_seconds(absl::ToDoubleSeconds(time - absl::UnixEpoch()));
    return moment;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quote(text), ": expected how long ago (10m, 6h, 2d) or a time (2026-11-25T22:00:00Z)"));
}

absl::Status ParseSelector(absl::string_view text, v1::SeriesRequest& request) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat(Quote(text), ": expected METRIC or METRIC{label=\"value\",…}"));
  const size_t brace = text.find('{');
  request.set_metric(std::string(absl::StripAsciiWhitespace(text.substr(0, brace))));
  if (request.metric().empty()) return bad;
  if (brace == absl::string_view::npos) return absl::OkStatus();
  absl::string_view rest = text.substr(brace + 1);
  if (!absl::ConsumeSuffix(&rest, "}")) return bad;
  while (!rest.empty()) {
    const size_t equals = rest.find('=');
    if (equals == absl::string_view::npos) return bad;
    v1::LabelMatch& match = *request.add_matches();
    match.set_name(std::string(absl::StripAsciiWhitespace(rest.substr(0, equals))));
    rest.remove_prefix(equals + 1);
    std::string value;
    if (absl::ConsumePrefix(&rest, "\"")) {
      bool closed = false;
      while (!rest.empty() && !closed) {
        const char c = rest.front();
        rest.remove_prefix(1);
        if (c == '"') {
          closed = true;
        } else if (c == '\\' && !rest.empty()) {
          value.push_back(rest.front() == 'n' ? '\n' : rest.front());
          rest.remove_prefix(1);
        } else {
          value.push_back(c);
        }
      }
      if (!closed || (!rest.empty() && !absl::ConsumePrefix(&rest, ","))) return bad;
    } else {
      const size_t comma = rest.find(',');
      value = std::string(rest.substr(0, comma));
      rest.remove_prefix(comma == absl::string_view::npos ? rest.size() : comma + 1);
    }
    if (match.name().empty()) return bad;
    match.set_value(value);
  }
  return absl::OkStatus();
}

}  // namespace fleet::ctl
