#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "collector/http/body.h"
#include "collector/probes/probes.h"

namespace fleet::collector {

/// What the API may ask of the engine: GET and HEAD without a body, unless collector.yaml says
/// more.
struct CheckRights {
  std::function<bool(absl::string_view method)> allows_method;  // null: GET and HEAD
  std::function<bool(absl::string_view id)> has_recipient;      // null: every one
};

/// Changes in `check` what `fields` name; unknown names are ignored, null is the default. Returns
/// every problem in updown's words ("Period is not a number (given: \"x\")"), and then `check` may
/// be half changed. What a value may be beyond its type is Probes' to say. Pure.
std::vector<std::string> ApplyCheckFields(const BodyFields& fields, const CheckRights& rights,
                                          ProbeCheck& check);

/// "Name is …" of a problem: "Period is not a number (given: \"x\")".
std::string FieldProblem(absl::string_view field, absl::string_view what, absl::string_view given);

/// "true", "1", "on", … as Rails reads them.
bool IsTrue(absl::string_view text);

}  // namespace fleet::collector
