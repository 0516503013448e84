#include "agent/parse/redis_info.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kFieldsMax = 20'000;

std::optional<double> ToNumber(absl::string_view text) {
  double number = 0;
  if (!ParseNumber(text, number) || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace

absl::string_view RedisInfo::Text(absl::string_view name) const {
  for (const Field& field : fields_) {
    if (field.name == name) return field.value;
  }
  return {};
}

std::optional<double> RedisInfo::Number(absl::string_view name) const {
  return ToNumber(Text(name));
}

absl::StatusOr<RedisInfo> ParseRedisInfo(absl::string_view text) {
  RedisInfo info;
  info.text_ = std::make_shared<const std::string>(text);
  info.fields_.reserve(256);
  absl::string_view rest = *info.text_;
  absl::string_view section;
  absl::string_view line;
  while (NextLine(rest, line)) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    if (absl::ConsumePrefix(&line, "#")) {
      section = absl::StripLeadingAsciiWhitespace(line);
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || colon == 0) {
      return absl::InvalidArgumentError(absl::StrCat("expected field:value, got ", Quote(line)));
    }
    if (info.fields_.size() == kFieldsMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("INFO with more than ", kFieldsMax, " fields"));
    }
    info.fields_.push_back({section, line.substr(0, colon), line.substr(colon + 1)});
  }
  if (info.fields_.empty()) return absl::InvalidArgumentError("INFO without any field");
  return info;
}

absl::StatusOr<RedisParts> ParseRedisParts(absl::string_view value) {
  RedisParts parts;
  for (const absl::string_view part : absl::StrSplit(value, ',')) {
    const size_t equals = part.find('=');
    if (equals == absl::string_view::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("expected name=value, got ", Quote(part)));
    }
    parts.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return parts;
}

std::optional<double> RedisPart(const RedisParts& parts, absl::string_view name) {
  for (const auto& [key, value] : parts) {
    if (key == name) return ToNumber(value);
  }
  return std::nullopt;
}

}  // namespace fleet::agent
