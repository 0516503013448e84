#include "collector/http/target.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

absl::StatusOr<std::string> Decode(absl::string_view text, bool plus_is_blank,
                                   bool allow_control = false) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = high >= 0 ? HexValue(text[i + 2]) : -1;
      if (low < 0) {
        return absl::InvalidArgumentError(absl::StrCat("bad %-escape in ", Quote(text)));
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (!allow_control && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) {
      return absl::InvalidArgumentError(absl::StrCat("control byte in ", Quote(text)));
    }
    out.push_back(c);
  }
  return out;
}

absl::Status ParsePath(absl::string_view text, RequestTarget& target) {
  if (!absl::StartsWith(text, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("no path in ", Quote(text)));
  }
  text.remove_prefix(1);
  if (absl::EndsWith(text, "/")) text.remove_suffix(1);
  if (text.empty()) return absl::OkStatus();
  for (const absl::string_view part : absl::StrSplit(text, '/')) {
    absl::StatusOr<std::string> segment = Decode(part, false);
    if (!segment.ok()) return segment.status();
    if (segment->empty() || *segment == "." || *segment == "..") {
      return absl::InvalidArgumentError(absl::StrCat("empty or dotted segment in ", Quote(text)));
    }
    target.path.push_back(*std::move(segment));
  }
  return absl::OkStatus();
}

absl::Status ParseQuery(absl::string_view text, RequestTarget& target) {
  for (const absl::string_view part : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    absl::StatusOr<std::string> name = Decode(halves.first, true);
    if (!name.ok()) return name.status();
    absl::StatusOr<std::string> value = Decode(halves.second, true);
    if (!value.ok()) return value.status();
    target.query.emplace_back(*std::move(name), *std::move(value));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> DecodeFormText(absl::string_view text) {
  return Decode(text, true, true);
}

absl::StatusOr<RequestTarget> ParseRequestTarget(absl::string_view text) {
  if (text.size() > kTargetBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a target of ", text.size(), " bytes, at most ", kTargetBytesMax));
  }
  if (absl::StartsWithIgnoreCase(text, "http://")) {
    const size_t slash = text.find('/', 7);
    text = slash == absl::string_view::npos ? "/" : text.substr(slash);
  }
  const size_t question = text.find('?');
  RequestTarget target;
  absl::Status status = ParsePath(text.substr(0, question), target);
  if (status.ok() && question != absl::string_view::npos) {
    status = ParseQuery(text.substr(question + 1), target);
  }
  if (!status.ok()) return status;
  return target;
}

}  // namespace fleet::collector
