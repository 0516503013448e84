#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/probe/loop.h"
#include "common/probe/probe.h"

namespace fleet::probe {

/// Finds the addresses of names, through /etc/hosts and the name servers of /etc/resolv.conf,
/// without a thread of its own. With dns_message.h the door to c-ares. Belongs to the loop's
/// thread.
class Resolver {
 public:
  /// Numeric addresses, the best first. Errors, in words: kNotFound for no such name, kUnavailable
  /// when nobody could tell.
  using Done = std::function<void(absl::StatusOr<std::vector<std::string>>)>;

  static std::unique_ptr<Resolver> Create(Loop& loop);
  /// What is asked then is never answered.
  virtual ~Resolver() = default;

  /// A number is its own address; for it and for what /etc/hosts says, `done` is called at once.
  virtual void Resolve(const std::string& host, Done done) = 0;
};

/// Those of `addresses` that a probe with this choice of family may talk to, the best first.
std::vector<std::string> ChooseAddresses(std::vector<std::string> addresses, IpFamily family,
                                         bool fallback);

}  // namespace fleet::probe
