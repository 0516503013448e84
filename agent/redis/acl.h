#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// For whom `fleet-agent redis-acl` prints a user.
struct RedisAclOptions {
  std::string user = "fleet";
  std::string version = "7.0";  // of the server: "6.0", "6.2", "7.2.4"
  std::string name_space;       // of Sidekiq's keys
  bool sidekiq = true;          // whether Sidekiq's keys are to be read, too
};

/// The line that makes a user who may do exactly what the checks `redis` and `sidekiq` do and
/// nothing else; PASSWORD in it is to be replaced. It differs by version: one word a server does
/// not know makes it refuse the whole line.
///
/// Errors: kInvalidArgument for a version before 6 (which has no users) or none at all, and for a
/// user or namespace with characters that ACL SETUSER would read as something else.
/// Source: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
absl::StatusOr<std::string> RedisAclLine(const RedisAclOptions& options);

}  // namespace fleet::agent
