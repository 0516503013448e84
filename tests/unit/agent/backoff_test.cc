#include "agent/backoff.h"

#include <algorithm>

namespace fleet::agent {
namespace {

const absl::Status kGone = absl::UnavailableError("gone");

/// When each of `agents` attempts again after losing a collector that comes back after `down`.
std::vector<absl::Duration> ComeBack(int agents, absl::Duration down) {
  std::vector<absl::Duration> back;
  for (int i = 0; i < agents; ++i) {
    Backoff backoff(static_cast<uint64_t>(i));
    absl::Duration at = backoff.Next(kGone, true, absl::Hours(1));
    while (at < down) at += backoff.Next(kGone, false, absl::ZeroDuration());
    back.push_back(at - down);
  }
  return back;
}

TEST(BackoffTest, FiveThousandAgentsSpreadAndAreBackWithinHalfAMinute) {
  for (const absl::Duration down :
       {absl::Seconds(0), absl::Seconds(2), absl::Seconds(10), absl::Minutes(5), absl::Hours(10)}) {
    SCOPED_TRACE(absl::FormatDuration(down));
    const std::vector<absl::Duration> back = ComeBack(5000, down);
    EXPECT_LT(*std::max_element(back.begin(), back.end()), absl::Seconds(17));
    // In no second more than two cores can greet: 4 ms each.
    std::vector<int> per_second(20);
    for (const absl::Duration at : back) ++per_second[static_cast<size_t>(at / absl::Seconds(1))];
    EXPECT_LT(*std::max_element(per_second.begin(), per_second.end()), 750);
  }
}

TEST(BackoffTest, ACollectorThatIsNotThereYetIsFoundSoon) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Backoff backoff(seed);
    EXPECT_LE(backoff.Next(kGone, false, absl::ZeroDuration()), absl::Milliseconds(500));
    EXPECT_LE(backoff.Next(kGone, false, absl::ZeroDuration()), absl::Seconds(1));
  }
}

TEST(BackoffTest, ARefusalWaitsLonger) {
  Backoff backoff(1);
  for (const absl::Status& refusal :
       {absl::UnauthenticatedError("expired"), absl::PermissionDeniedError("revoked")}) {
    const absl::Duration pause = backoff.Next(refusal, false, absl::ZeroDuration());
    EXPECT_GE(pause, Backoff::kRefusedMin);
    EXPECT_LE(pause, Backoff::kRefusedMax);
  }
}

}  // namespace
}  // namespace fleet::agent
