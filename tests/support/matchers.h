#pragma once

#include <gmock/gmock.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fleet::test {

inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& value) {
  return value.status();
}

/// An OK Status or StatusOr.
MATCHER(IsOk, "is OK") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).ok();
}

/// A Status or StatusOr with `code`, whose message matches `message`.
MATCHER_P2(StatusIs, code, message, "has the given code and message") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).code() == code &&
         ::testing::Matches(message)(std::string(ToStatus(arg).message()));
}
MATCHER_P(HasCode, code, "has the given code") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).code() == code;
}

/// An OK StatusOr whose value matches `inner`.
MATCHER_P(IsOkAnd, inner, "is OK and holds a value that matches") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(inner, *arg, result_listener);
}

}  // namespace fleet::test
