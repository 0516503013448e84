#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/options.h"
#include "agent/redis/reply.h"
#include "common/clock.h"
#include "common/scoped_fd.h"

struct redisReader;

namespace fleet::agent {

/// What an error reply means for a check: kPermissionDenied for NOAUTH, WRONGPASS, NOPERM and
/// protected mode, kResourceExhausted for the limit of clients and for OOM, kUnavailable for
/// LOADING, MASTERDOWN and BUSY, kFailedPrecondition for MISCONF, kInternal for anything else. The
/// message is the server's own, on one line; for a missing right it also says what grants it.
absl::Status RedisErrorStatus(absl::string_view error);

/// One persistent connection to one Redis server, speaking RESP2. This is fleet's only door to
/// hiredis, of which it takes the protocol and not the sockets: its timeouts bound single reads, so
/// that a server which drips bytes could hold a check for ever. Used by one thread at a time.
class RedisClient {
 public:
  /// Limits of what one Run may bring: a job can be huge, a hostile server even more so.
  static constexpr size_t kReplyBytesMax = 4 << 20;
  static constexpr size_t kReplyElementsMax = 200'000;

  explicit RedisClient(RedisServer server, int database = 0);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  /// Sends all `commands` in one write and returns one reply each, in order; connects and logs in
  /// first when needed. An error reply is a reply, unless it concerns the connection itself.
  ///
  /// Errors, after which the next call connects anew:
  ///   kUnavailable        refused, closed in the middle of a reply, or not Redis at all
  ///   kDeadlineExceeded   no complete answer within `timeout`
  ///   kPermissionDenied   the login was refused, or none was given and one is wanted
  ///   kResourceExhausted  the server has no room for one more client, or answered too much
  ///   others              the password file cannot be read, or the address is none
  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration timeout);

  void Disconnect();
  const RedisServer& server() const { return server_; }
  /// Grows with each connection made: what was learned about the server may be outdated then.
  int connections() const { return connections_; }

 private:
  absl::Status Connect(SteadyTime deadline);
  /// The commands every connection starts with.
  absl::StatusOr<std::vector<RedisCommand>> Greeting() const;
  absl::Status Exchange(absl::string_view request, size_t replies_expected, SteadyTime deadline,
                        std::vector<RedisReply>& replies);
  /// Takes every complete reply out of the reader.
  absl::Status TakeReplies(size_t replies_expected, std::vector<RedisReply>& replies);

  const RedisServer server_;
  const int database_;
  ScopedFd fd_;
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
  size_t elements_ = 0;  // parsed since the start of this Run
  int connections_ = 0;
};

}  // namespace fleet::agent
