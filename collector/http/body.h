#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::collector {

/// One value that a request gives.
struct BodyValue {
  enum class Kind { kNull, kText, kList, kMap };
  Kind kind = Kind::kText;
  std::string text;  // numbers and booleans as JSON writes them
  std::vector<std::string> list;
  std::map<std::string, std::string> map;

  bool operator==(const BodyValue&) const = default;
};

/// What a request's body says, by name, however it was written.
using BodyFields = std::map<std::string, BodyValue>;

/// Names, list elements and map entries of one body; more is an error.
inline constexpr size_t kBodyValuesMax = 1000;

/// Reads a body: JSON when `content_type` says so or when it starts with '{', else a form. A form
/// writes lists as "recipients[]=a&recipients[]=b" and maps as "custom_headers[Name]=value"; of a
/// name that comes twice the last counts. An empty body has no fields.
///
/// Errors: kInvalidArgument for JSON that is none or no object, or that holds a list or map inside
/// another; a bad %-escape; text that is not UTF-8 or has a NUL byte; a name that is used both as a
/// list and otherwise; more than kBodyValuesMax values.
absl::StatusOr<BodyFields> ParseBody(absl::string_view content_type, absl::string_view body);

/// The same for what a query has, decoded: names may have brackets.
/// Errors: kInvalidArgument, as above.
absl::StatusOr<BodyFields> FieldsOf(
    const std::vector<std::pair<std::string, std::string>>& decoded);

}  // namespace fleet::collector
