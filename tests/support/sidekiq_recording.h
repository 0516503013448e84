#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "agent/redis/reply.h"

namespace fleet::test {

/// The commands that put a recording of tests/fixtures/sidekiq ("## key type=list ttl=-1" and what
/// it holds) back in place.
std::vector<agent::RedisCommand> RestoreSidekiq(absl::string_view recording);

}  // namespace fleet::test
