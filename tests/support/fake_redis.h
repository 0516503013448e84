#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::test {

/// Stands in for a Redis that is not to be had just so: answers each command as it was told, by
/// RESP, on a free port of 127.0.0.1. What it was not told is answered "-ERR unknown command".
class FakeRedis {
 public:
  /// Whole replies of the protocol ("+PONG\r\n") by command, words joined by blanks.
  explicit FakeRedis(std::map<std::string, std::string> answers);
  ~FakeRedis();
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  std::string address() const;
  /// A bulk string as the protocol writes it.
  static std::string Bulk(absl::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleet::test
