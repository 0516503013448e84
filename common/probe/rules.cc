#include "common/probe/rules.h"

#include <re2/re2.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::probe {
namespace {

/// A pattern was compiled once when the spec was validated; one that is not valid finds nothing.
bool Finds(const std::string& pattern, const std::string& text) {
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 compiled(pattern, options);
  return compiled.ok() && RE2::PartialMatch(text, compiled);
}

bool StatusIsValid(const HttpSpec& spec, int status) {
  if (spec.any_status) return status > 0;
  if (spec.valid_status.empty()) return status >= 200 && status <= 299;
  return std::any_of(
      spec.valid_status.begin(), spec.valid_status.end(),
      [&](const StatusRange& range) { return status >= range.first && status <= range.last; });
}

std::string JudgeHeader(const HeaderRule& rule, const Reply& reply) {
  bool present = false;
  bool found = false;
  std::string shown;
  for (const auto& [name, value] : reply.headers) {
    if (!absl::EqualsIgnoreCase(name, rule.name)) continue;
    if (!present) shown = value;
    present = true;
    found = found || Finds(rule.pattern, value);
  }
  if (!present) return rule.allow_missing ? "" : absl::StrCat("no header ", Quote(rule.name));
  if (found == rule.must_match) return "";
  return absl::StrCat("header ", rule.name, " is ", Quote(shown), ", which must ",
                      rule.must_match ? "" : "not ", "match ", Quote(rule.pattern));
}

/// The value at "contacts.0.name", or null.
const nlohmann::json* FindValue(const nlohmann::json& document, absl::string_view path) {
  const nlohmann::json* at = &document;
  for (const absl::string_view part : absl::StrSplit(path, '.', absl::SkipEmpty())) {
    size_t index = 0;
    if (at->is_object()) {
      const auto found = at->find(std::string(part));
      if (found == at->end()) return nullptr;
      at = &*found;
    } else if (at->is_array() && absl::SimpleAtoi(part, &index) && index < at->size()) {
      at = &(*at)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

std::string JudgeJson(const std::vector<JsonRule>& rules, const std::string& body) {
  if (rules.empty()) return "";
  const nlohmann::json document = nlohmann::json::parse(body, nullptr, false);
  if (document.is_discarded()) return "the body is no JSON";
  for (const JsonRule& rule : rules) {
    const nlohmann::json* value = FindValue(document, rule.path);
    if (value == nullptr) return absl::StrCat("the JSON has no ", Quote(rule.path));
    if (!rule.equals.has_value()) continue;
    const std::string text =
        value->is_string() ? value->get<std::string>()
                           : value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (text != *rule.equals) {
      return absl::StrCat(rule.path, " is ", Quote(text), ", not ", Quote(*rule.equals));
    }
  }
  return "";
}

}  // namespace

const std::string* Reply::header(absl::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, name)) return &value;
  }
  return nullptr;
}

bool NeedsBody(const HttpSpec& spec) {
  return !spec.body_contains.empty() || !spec.body_matches.empty() ||
         !spec.body_does_not_match.empty() || !spec.json_rules.empty();
}

Judgement Judge(const HttpSpec& spec, const Reply& reply) {
  if (!StatusIsValid(spec, reply.status)) return {absl::StrCat(reply.status)};
  for (const HeaderRule& rule : spec.header_rules) {
    std::string error = JudgeHeader(rule, reply);
    if (!error.empty()) return {std::move(error), true};
  }
  if (!spec.body_contains.empty() && !absl::StrContains(reply.body, spec.body_contains)) {
    return {"no_match", true};
  }
  if (!spec.body_matches.empty() && !Finds(spec.body_matches, reply.body)) {
    return {"no_match", true};
  }
  if (!spec.body_does_not_match.empty() && Finds(spec.body_does_not_match, reply.body)) {
    return {absl::StrCat("the body matches ", Quote(spec.body_does_not_match)), true};
  }
  if (std::string error = JudgeJson(spec.json_rules, reply.body); !error.empty()) {
    return {std::move(error)};
  }
  if (!spec.final_url.empty() && reply.url != spec.final_url) {
    return {absl::StrCat("ends at ", OneLine(reply.url), ", not at ", OneLine(spec.final_url))};
  }
  if (spec.fail_if_tls && reply.tls) return {"ends with TLS, which must not be"};
  if (spec.fail_if_not_tls && !reply.tls) return {"ends without TLS"};
  return {};
}

}  // namespace fleet::probe
