#include "common/labels.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet {
namespace {

constexpr size_t kLabelsMax = 64;

bool IsPlain(absl::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
}

bool IsLabelName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

/// Takes an escaped value and its closing quote off `text`.
bool ConsumeValue(absl::string_view& text, std::string& value) {
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (text[i] == '\n') return false;
    if (text[i] == '\\') {
      if (i + 1 >= text.size()) return false;
      const char c = text[i + 1];
      if (c != '\\' && c != '"' && c != 'n') return false;
      value.push_back(c == 'n' ? '\n' : c);
      i += 2;
      continue;
    }
    const size_t size = Utf8SequenceSize(text.substr(i));
    if (size == 0) return false;
    value.append(text.data() + i, size);
    i += size;
  }
  return false;
}

}  // namespace

void AppendLabelValue(absl::string_view value, std::string& out) {
  if (value.size() <= kLabelValueBytesMax && IsPlain(value)) {
    out.append(value.data(), value.size());
    return;
  }
  size_t kept = 0;
  while (!value.empty()) {
    const size_t size = Utf8SequenceSize(value);
    kept += size == 0 ? 1 : size;
    if (kept > kLabelValueBytesMax) return;
    if (size == 0) {
      out.push_back('?');
      value.remove_prefix(1);
      continue;
    }
    switch (value[0]) {
      case '\\':
        out.append("\\\\");
        break;
      case '"':
        out.append("\\\"");
        break;
      case '\n':
        out.append("\\n");
        break;
      default:
        out.append(value.data(), size);
    }
    value.remove_prefix(size);
  }
}

void AppendLabels(absl::Span<const Label> labels, std::string& out) {
  bool first = true;
  for (const Label& label : labels) {
    if (!first) out.push_back(',');
    first = false;
    out.append(label.name.data(), label.name.size());
    out.append("=\"");
    AppendLabelValue(label.value, out);
    out.push_back('"');
  }
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseLabels(
    absl::string_view text) {
  const auto bad = [text](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(why, " in labels ", Quote(text)));
  };
  std::vector<std::pair<std::string, std::string>> labels;
  while (!text.empty()) {
    if (!labels.empty() && !absl::ConsumePrefix(&text, ",")) return bad("no comma");
    const size_t equals = text.find("=\"");
    if (equals == absl::string_view::npos) return bad("no value");
    const absl::string_view name = text.substr(0, equals);
    if (!IsLabelName(name)) return bad("bad name");
    text.remove_prefix(equals + 2);
    std::string value;
    if (!ConsumeValue(text, value)) return bad("bad value");
    for (const auto& [other, unused] : labels) {
      if (other == name) return bad("repeated name");
    }
    if (labels.size() == kLabelsMax) return bad("too many");
    labels.emplace_back(std::string(name), std::move(value));
  }
  return labels;
}

bool IsMetricName(absl::string_view name) {
  return !name.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':';
         });
}

}  // namespace fleet
