#include "collector/updown/check_fields.h"

#include <cmath>
#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/updown/time_text.h"

namespace fleet::collector {
namespace {

using Kind = BodyValue::Kind;

constexpr size_t kTextBytesMax = 8 << 10;  // of a URL, a name, …
constexpr size_t kHeadersMax = 50;
constexpr size_t kHeaderValueBytesMax = 4 << 10;
constexpr int64_t kPeriodSecondsMax = int64_t{366} * 86'400;

bool IsToken(absl::string_view text) {
  if (text.empty() || text.size() > 256) return false;
  return absl::c_all_of(text, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

bool HasControl(absl::string_view text) {
  return absl::c_any_of(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

/// One run over the fields of a body.
class Applier {
 public:
  Applier(const CheckRights& rights, ProbeCheck& check) : rights_(rights), check_(check) {}

  void Apply(const std::string& name, const BodyValue& value) {
    if (name == "url") return SetText(name, value, check_.url);
    if (name == "type") return SetText(name, value, check_.type);
    if (name == "alias") return SetText(name, value, check_.alias);
    if (name == "string_match") return SetLong(name, value, check_.string_match);
    if (name == "http_body") return SetLong(name, value, check_.http_body);
    if (name == "http_verb") return SetVerb(value);
    if (name == "period") return SetPeriod(value);
    if (name == "apdex_t") return SetApdex(value);
    if (name == "enabled") return SetBool(value, check_.enabled, true);
    if (name == "published") return SetBool(value, check_.published, false);
    if (name == "mute_until") return SetMute(value);
    if (name == "disabled_locations") return SetList(name, value, check_.disabled_locations);
    if (name == "recipients") return SetRecipients(value);
    if (name == "custom_headers") return SetHeaders(value);
  }

  /// What only shows when all is known.
  void Finish() {
    const std::string& verb = check_.http_verb;
    const bool look = verb == "GET/HEAD" || verb == "GET" || verb == "HEAD";
    if (!look && !Allowed(verb)) {
      Add("Http verb", "is not allowed by probes_allow of this collector", verb);
    }
    if (look && !check_.http_body.empty()) {
      Add("Http body", "needs another verb than GET or HEAD", check_.http_body.substr(0, 40));
    }
  }

  std::vector<std::string> Take() { return std::move(problems_); }

 private:
  void Add(absl::string_view field, absl::string_view what, absl::string_view given) {
    problems_.push_back(FieldProblem(field, what, given));
  }
  bool Allowed(absl::string_view verb) const {
    return rights_.allows_method != nullptr && rights_.allows_method(verb);
  }

  bool WantText(const std::string& name, const BodyValue& value) {
    if (value.kind == Kind::kText || value.kind == Kind::kNull) return true;
    Add(Title(name), "is not a text", "");
    return false;
  }
  void SetLong(const std::string& name, const BodyValue& value, std::string& out) {
    if (WantText(name, value)) out = value.text;
  }
  void SetText(const std::string& name, const BodyValue& value, std::string& out) {
    if (!WantText(name, value)) return;
    if (HasControl(value.text) || value.text.size() > kTextBytesMax) {
      return Add(Title(name), "is invalid", value.text.substr(0, 80));
    }
    out = std::string(absl::StripAsciiWhitespace(value.text));
  }
  void SetVerb(const BodyValue& value) {
    std::string verb;
    SetText("http_verb", value, verb);
    check_.http_verb = verb.empty() ? "GET/HEAD" : absl::AsciiStrToUpper(verb);
  }
  void SetPeriod(const BodyValue& value) {
    if (value.kind == Kind::kNull) {
      check_.period = absl::Seconds(60);
      return;
    }
    double seconds = 0;  // a JSON client may send 60.0
    if (value.kind != Kind::kText || !absl::SimpleAtod(value.text, &seconds) ||
        seconds != std::floor(seconds) || std::abs(seconds) > double{kPeriodSecondsMax}) {
      return Add("Period", "is not a number", value.text);
    }
    check_.period = absl::Seconds(static_cast<int64_t>(seconds));
  }
  void SetApdex(const BodyValue& value) {
    if (value.kind == Kind::kNull) {
      check_.apdex_t = 0.5;
    } else if (value.kind != Kind::kText || !absl::SimpleAtod(value.text, &check_.apdex_t) ||
               !std::isfinite(check_.apdex_t)) {
      check_.apdex_t = 0.5;
      Add("Apdex t", "is not a number", value.text);
    }
  }
  static void SetBool(const BodyValue& value, bool& out, bool otherwise) {
    const bool said = value.kind == Kind::kText && !value.text.empty();
    out = said ? IsTrue(value.text) : otherwise;
  }
  void SetMute(const BodyValue& value) {
    if (value.kind == Kind::kNull || value.text.empty()) {
      check_.mute_until.clear();
      return;
    }
    if (value.text == "recovery" || value.text == "forever") {
      check_.mute_until = value.text;
      return;
    }
    const absl::StatusOr<absl::Time> time = ParseApiTime(value.text);
    if (!time.ok()) return Add("Mute until", "is invalid", value.text);
    check_.mute_until = FormatApiTime(*time);
  }
  /// A list, or one text with commas; empty elements are how a form says that there are none.
  void SetList(const std::string& name, const BodyValue& value, std::vector<std::string>& out) {
    std::vector<std::string> list = value.list;
    if (value.kind == Kind::kText) list = absl::StrSplit(value.text, ',', absl::SkipWhitespace());
    if (value.kind == Kind::kMap) return Add(Title(name), "is not a list", "");
    out.clear();
    for (const std::string& element : list) {
      const absl::string_view text = absl::StripAsciiWhitespace(element);
      if (HasControl(text)) return Add(Title(name), "is invalid", text);
      if (!text.empty() && !absl::c_linear_search(out, text)) out.emplace_back(text);
    }
  }
  void SetRecipients(const BodyValue& value) {
    SetList("recipients", value, check_.recipients);
    for (const std::string& id : check_.recipients) {
      if (rights_.has_recipient == nullptr || rights_.has_recipient(id)) continue;
      Add("Recipients", "is not known here", id);
    }
  }
  void SetHeaders(const BodyValue& value) {
    if (value.kind == Kind::kList || (value.kind == Kind::kText && !value.text.empty())) {
      return Add("Custom headers", "is not a map of names to values", value.text.substr(0, 80));
    }
    if (value.map.size() > kHeadersMax) return Add("Custom headers", "are too many", "");
    for (const auto& [name, text] : value.map) {
      if (!IsToken(name)) return Add("Custom headers", "has an invalid name", name);
      if (HasControl(text) || text.size() > kHeaderValueBytesMax) {
        return Add("Custom headers", "has an invalid value", text.substr(0, 80));
      }
    }
    check_.custom_headers = value.map;
  }

  /// "http_verb" → "Http verb".
  static std::string Title(absl::string_view name) {
    std::string title = absl::StrReplaceAll(name, {{"_", " "}});
    title[0] = absl::ascii_toupper(static_cast<unsigned char>(title[0]));
    return title;
  }

  const CheckRights& rights_;
  ProbeCheck& check_;
  std::vector<std::string> problems_;
};

}  // namespace

std::string FieldProblem(absl::string_view field, absl::string_view what, absl::string_view given) {
  int64_t number = 0;
  const bool plain = absl::SimpleAtoi(given, &number);
  return absl::StrCat(field, " ", what, " (given: ", plain ? "" : "\"", given, plain ? ")" : "\")");
}

bool IsTrue(absl::string_view text) {
  return !(text.empty() || text == "0" || absl::EqualsIgnoreCase(text, "false") ||
           absl::EqualsIgnoreCase(text, "f") || absl::EqualsIgnoreCase(text, "off") ||
           absl::EqualsIgnoreCase(text, "no"));
}

std::vector<std::string> ApplyCheckFields(const BodyFields& fields, const CheckRights& rights,
                                          ProbeCheck& check) {
  Applier applier(rights, check);
  for (const auto& [name, value] : fields) applier.Apply(name, value);
  applier.Finish();
  return applier.Take();
}

}  // namespace fleet::collector
