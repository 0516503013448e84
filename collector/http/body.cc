#include "collector/http/body.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "collector/http/target.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

using Json = nlohmann::json;
using Kind = BodyValue::Kind;

/// Objects and lists inside each other while JSON is read; what is allowed is less.
constexpr int kJsonDepthMax = 8;

absl::Status CheckText(absl::string_view text) {
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t size = Utf8SequenceSize(rest);
    if (size == 0) return absl::InvalidArgumentError(absl::StrCat("not UTF-8: ", Quote(text)));
    if (rest[0] == '\0') return absl::InvalidArgumentError("a NUL byte in the body");
    rest.remove_prefix(size);
  }
  return absl::OkStatus();
}

/// Counts what is read, so that a small body cannot become a large structure.
class Builder {
 public:
  absl::Status Put(absl::string_view name, Kind kind, absl::string_view key, std::string text) {
    if (++values_ > kBodyValuesMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kBodyValuesMax, " values"));
    }
    FLEET_RETURN_IF_ERROR(CheckText(name));
    FLEET_RETURN_IF_ERROR(CheckText(key));
    FLEET_RETURN_IF_ERROR(CheckText(text));
    const auto [found, is_new] = fields_.try_emplace(std::string(name));
    BodyValue& value = found->second;
    if (is_new) {
      value.kind = kind;
    } else if (value.kind != kind) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(name), " is given in two different forms"));
    }
    if (kind == Kind::kList) {
      value.list.push_back(std::move(text));
    } else if (kind == Kind::kMap) {
      value.map[std::string(key)] = std::move(text);
    } else {
      value.text = std::move(text);
    }
    return absl::OkStatus();
  }
  /// A name with nothing in it yet: null, an empty list or map. Of two the last counts.
  void Start(absl::string_view name, Kind kind) {
    BodyValue& value = fields_[std::string(name)];
    value = {};
    value.kind = kind;
  }

  /// "name", "name[]" or "name[key]".
  absl::Status PutForm(absl::string_view name, std::string text) {
    const size_t open = name.find('[');
    if (open == 0 || open == absl::string_view::npos) {
      return Put(name, Kind::kText, "", std::move(text));
    }
    absl::string_view key = name.substr(open + 1);
    if (!absl::ConsumeSuffix(&key, "]") || absl::StrContains(key, '[')) {
      return absl::InvalidArgumentError(absl::StrCat("cannot read the name ", Quote(name)));
    }
    return Put(name.substr(0, open), key.empty() ? Kind::kList : Kind::kMap, key, std::move(text));
  }

  BodyFields Take() { return std::move(fields_); }

 private:
  BodyFields fields_;
  size_t values_ = 0;
};

absl::StatusOr<std::string> Scalar(absl::string_view name, const Json& json) {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_null()) return std::string();
  if (json.is_structured()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(name), " holds a list or an object inside another"));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::Status PutJson(const std::string& name, const Json& json, Builder& builder) {
  if (json.is_null()) {
    builder.Start(name, Kind::kNull);
    return CheckText(name);
  }
  if (json.is_array()) {
    builder.Start(name, Kind::kList);
    for (const Json& element : json) {
      FLEET_ASSIGN_OR_RETURN(std::string text, Scalar(name, element));
      FLEET_RETURN_IF_ERROR(builder.Put(name, Kind::kList, "", std::move(text)));
    }
    return CheckText(name);
  }
  if (json.is_object()) {
    builder.Start(name, Kind::kMap);
    for (const auto& [key, element] : json.items()) {
      FLEET_ASSIGN_OR_RETURN(std::string text, Scalar(name, element));
      FLEET_RETURN_IF_ERROR(builder.Put(name, Kind::kMap, key, std::move(text)));
    }
    return CheckText(name);
  }
  FLEET_ASSIGN_OR_RETURN(std::string text, Scalar(name, json));
  return builder.Put(name, Kind::kText, "", std::move(text));
}

absl::StatusOr<BodyFields> ParseJsonBody(absl::string_view body) {
  bool too_deep = false;
  const auto look = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > kJsonDepthMax;
    return depth <= kJsonDepthMax;
  };
  const Json json = Json::parse(body.begin(), body.end(), look, /*allow_exceptions=*/false);
  if (json.is_discarded() || too_deep) return absl::InvalidArgumentError("the body is not JSON");
  if (!json.is_object()) return absl::InvalidArgumentError("the body is not a JSON object");
  if (json.size() > kBodyValuesMax) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kBodyValuesMax, " values"));
  }
  Builder builder;
  for (const auto& [name, value] : json.items()) {
    FLEET_RETURN_IF_ERROR(PutJson(name, value, builder));
  }
  return builder.Take();
}

absl::StatusOr<BodyFields> ParseFormBody(absl::string_view body) {
  Builder builder;
  for (const absl::string_view part : absl::StrSplit(body, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    FLEET_ASSIGN_OR_RETURN(const std::string name, DecodeFormText(halves.first));
    FLEET_ASSIGN_OR_RETURN(std::string text, DecodeFormText(halves.second));
    FLEET_RETURN_IF_ERROR(builder.PutForm(name, std::move(text)));
  }
  return builder.Take();
}

}  // namespace

absl::StatusOr<BodyFields> ParseBody(absl::string_view content_type, absl::string_view body) {
  const absl::string_view text = absl::StripAsciiWhitespace(body);
  if (text.empty()) return BodyFields();
  // "application/json; charset=utf-8", "application/vnd.api+json", …
  const std::string type = absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
  const bool json = absl::EndsWith(type, "json") || text[0] == '{';
  return json ? ParseJsonBody(text) : ParseFormBody(text);
}

absl::StatusOr<BodyFields> FieldsOf(
    const std::vector<std::pair<std::string, std::string>>& decoded) {
  Builder builder;
  for (const auto& [name, text] : decoded) {
    FLEET_RETURN_IF_ERROR(builder.PutForm(name, text));
  }
  return builder.Take();
}

}  // namespace fleet::collector
