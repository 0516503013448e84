#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One command with its arguments: {"LLEN", "queue:default"}.
using RedisCommand = std::vector<std::string>;

/// What a Redis server answered to one command.
struct RedisReply {
  enum class Kind { kNil, kInteger, kStatus, kString, kError, kArray };

  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;                  // of a status, string or error
  std::vector<RedisReply> elements;  // of an array

  bool nil() const { return kind == Kind::kNil; }
  bool error() const { return kind == Kind::kError; }
  bool array() const { return kind == Kind::kArray; }
  /// Whether it is an error that starts with `prefix` ("NOPERM").
  bool Is(absl::string_view prefix) const { return error() && absl::StartsWith(text, prefix); }
};

}  // namespace fleet::agent
