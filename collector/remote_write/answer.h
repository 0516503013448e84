#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/http_client.h"

namespace fleet::collector {

/// Why a sample was not delivered.
enum class DropReason : uint8_t {
  kFuture,       // too far ahead of the collector's clock
  kOutOfOrder,   // the receiver has a later one and takes none out of order
  kOutOfBounds,  // the receiver has closed the time it belongs to
  kTooOld,       // older than the window the receiver keeps open
  kDuplicate,    // the receiver has another value for that time
  kTooLarge,     // one sample alone is too large a request
  kRefused,      // refused with other words
};
inline constexpr size_t kDropReasons = 7;
/// As the label `reason` says it: "out_of_order".
absl::string_view DropReasonName(DropReason reason);

/// What a receiver's reply to a request means for what was in it.
struct Answer {
  enum class Kind : uint8_t {
    kTaken,
    kRefused,   // for good, because of some samples: do not send all of it again
    kTooLarge,  // send it in smaller pieces
    kRetry,     // nothing is wrong with the samples
  };
  Kind kind = Kind::kRetry;
  DropReason reason = DropReason::kRefused;           // of kRefused
  absl::Duration retry_after = absl::ZeroDuration();  // what the receiver asks for
  std::string words;                                  // what to tell people; one line
};

/// The longest that a receiver can make us wait.
inline constexpr absl::Duration kRetryAfterMax = absl::Minutes(10);

/// Reads a reply, or why there was none.
Answer ReadAnswer(const absl::StatusOr<::fleet::HttpResponse>& response, absl::Time now);

/// What a Retry-After says at `now`: seconds, or an HTTP date. Zero for anything else; at most
/// kRetryAfterMax.
absl::Duration ParseRetryAfter(absl::string_view text, absl::Time now);

/// Whether a refusal's words name one of the reasons for which a TSDB refuses a sample for good.
bool FindDropReason(absl::string_view words, DropReason& reason);

}  // namespace fleet::collector
