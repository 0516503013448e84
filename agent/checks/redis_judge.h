#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "agent/options.h"
#include "agent/parse/redis_info.h"
#include "common/clock.h"
#include "common/report.h"

namespace fleet::agent {

/// What the check found out about a server beside INFO.
struct RedisFacts {
  absl::Duration ping;              // round trip of our PING and the rest
  bool writes_refused = false;      // PING itself was answered with MISCONF
  bool sidekiq_lives_here = false;  // known only where keys can be evicted
  double maxclients = 0;            // 0: not known
};

/// A counter that is news for a while after it grew.
class RisingCount {
 public:
  static constexpr absl::Duration kNews = absl::Minutes(5);

  /// Takes the newest value. How much it grew within kNews; 0 on the first look, and after it fell
  /// (the server restarted).
  double Update(double value, SteadyTime now);

 private:
  std::optional<double> last_;
  double grown_ = 0;
  SteadyTime grown_time_;
};

/// What must be remembered of one server from run to run.
struct RedisHistory {
  RisingCount oom_errors;
  RisingCount rejected;
  RisingCount evicted;
};

struct RedisJudgement {
  Verdict verdict = Verdict::kOk;
  std::string reason;
};

/// Judges one server: loading, memory against maxmemory as its policy means it, persistence,
/// replication, clients, latency. The reason holds what is worst first; when all is well, what the
/// server is.
RedisJudgement JudgeRedis(const RedisInfo& info, const RedisFacts& facts,
                          const RedisOptions& options, SteadyTime now, RedisHistory& history);

}  // namespace fleet::agent
