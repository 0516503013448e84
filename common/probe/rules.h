#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/probe/probe.h"

/// What is expected of an HTTP reply. Pure.
namespace fleet::probe {

/// The last reply, as far as the rules look at it.
struct Reply {
  int status = 0;
  bool tls = false;
  std::string url;  // of the last request
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // the first Engine::kBodyBytesMax

  /// The first header of that name, in whatever case; null without one.
  const std::string* header(absl::string_view name) const;
};

struct Judgement {
  std::string error;          // empty: all is as expected
  bool regex_failed = false;  // it was a text or pattern
};

/// Whether any rule needs the body.
bool NeedsBody(const HttpSpec& spec);

Judgement Judge(const HttpSpec& spec, const Reply& reply);

}  // namespace fleet::probe
