// A receiver's reply never makes us wait longer than the limit, and what is taken or refused is
// told apart by the code alone where no words are needed.
#include <cstdint>
#include <cstdlib>

#include "collector/remote_write/answer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fleet::collector::Answer;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  fleet::HttpResponse response;
  response.code = size < 2 ? 0 : (data[0] << 8 | data[1]) % 600;
  const size_t line = text.find('\n');
  response.headers.emplace_back("Retry-After", std::string(text.substr(0, line)));
  if (line != absl::string_view::npos) response.body = std::string(text.substr(line));
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const Answer answer = fleet::collector::ReadAnswer(response, now);
  if (answer.retry_after < absl::ZeroDuration() ||
      answer.retry_after > fleet::collector::kRetryAfterMax) {
    std::abort();
  }
  if ((answer.kind == Answer::Kind::kTaken) != (response.code >= 200 && response.code < 300)) {
    std::abort();
  }
  if (response.code == 400 && answer.kind != Answer::Kind::kRefused) std::abort();
  if (answer.words.find('\n') != std::string::npos || answer.words.size() > 220) std::abort();
  const absl::Duration wait = fleet::collector::ParseRetryAfter(text, now);
  if (wait < absl::ZeroDuration() || wait > fleet::collector::kRetryAfterMax) std::abort();
  return 0;
}
