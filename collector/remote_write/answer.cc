#include "collector/remote_write/answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

constexpr size_t kWordsBytesMax = 200;     // of a reply that people see
constexpr size_t kSearchBytesMax = 16384;  // of a reply that is looked through

}  // namespace

absl::string_view DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kFuture:
      return "future";
    case DropReason::kOutOfOrder:
      return "out_of_order";
    case DropReason::kOutOfBounds:
      return "out_of_bounds";
    case DropReason::kTooOld:
      return "too_old";
    case DropReason::kDuplicate:
      return "duplicate";
    case DropReason::kTooLarge:
      return "too_large";
    case DropReason::kRefused:
      return "refused";
  }
  return "refused";
}

bool FindDropReason(absl::string_view words, DropReason& reason) {
  // Mimir writes out-of-order, Thanos OutOfOrder in places.
  const std::string text = absl::StrReplaceAll(
      absl::AsciiStrToLower(words.substr(0, kSearchBytesMax)), {{"-", " "}, {"_", " "}});
  constexpr struct {
    absl::string_view words;
    DropReason reason;
  } kKnown[] = {
      {"out of bounds", DropReason::kOutOfBounds},
      {"outofbounds", DropReason::kOutOfBounds},
      {"too old", DropReason::kTooOld},
      {"out of order", DropReason::kOutOfOrder},
      {"outoforder", DropReason::kOutOfOrder},
      {"duplicate", DropReason::kDuplicate},
      {"too far in", DropReason::kFuture},
  };
  for (const auto& known : kKnown) {
    if (!absl::StrContains(text, known.words)) continue;
    reason = known.reason;
    return true;
  }
  return false;
}

absl::Duration ParseRetryAfter(absl::string_view text, absl::Time now) {
  text = absl::StripAsciiWhitespace(text);
  int64_t seconds = 0;
  absl::Duration wait;
  absl::Time date;
  if (absl::SimpleAtoi(text, &seconds)) {
    wait = absl::Seconds(seconds);
  } else if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &date, nullptr)) {
    wait = date - now;
  }
  return std::clamp(wait, absl::ZeroDuration(), kRetryAfterMax);
}

Answer ReadAnswer(const absl::StatusOr<::fleet::HttpResponse>& response, absl::Time now) {
  Answer answer;
  if (!response.ok()) {
    answer.words = std::string(response.status().message());
    return answer;
  }
  const int code = response->code;
  if (code >= 200 && code < 300) {
    answer.kind = Answer::Kind::kTaken;
    return answer;
  }
  answer.words = absl::StrCat("HTTP ", code);
  const std::string body = OneLine(response->body, kWordsBytesMax);
  if (!body.empty()) absl::StrAppend(&answer.words, ": ", body);
  const bool names_reason = FindDropReason(response->body, answer.reason);
  // 409 is Thanos', 422 Cortex'.
  if (code == 400 || (names_reason && (code == 409 || code == 422 || code >= 500))) {
    answer.kind = Answer::Kind::kRefused;
  } else if (code == 413) {
    answer.kind = Answer::Kind::kTooLarge;
  } else if (const std::string* after = response->header("Retry-After")) {
    answer.retry_after = ParseRetryAfter(*after, now);
  }
  return answer;
}

}  // namespace fleet::collector
