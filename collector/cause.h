#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/report.h"

namespace fleet::collector {

/// `parent` as an absolute path: "./redis" of a host is "host/redis". Empty for an empty one.
std::string ResolveParent(absl::string_view host, absl::string_view parent);

/// Who depends on whom. A path is "host", "host/check" or "host/check/item"; an item's name may
/// hold slashes of its own. Pure. Not thread-safe.
class CauseGraph {
 public:
  /// A host that is silent is kCrit here, any other kOk: its checks stand for themselves.
  void Add(std::string path, Verdict verdict, std::vector<std::string> parents);

  /// The root cause of `path`: from parent to failing parent, as far as it goes. Empty when it does
  /// not fail, or fails by itself. A parent fails when it is crit or unknown, or as bad as what
  /// follows from it. Cycles end where they would start again.
  std::string RootCause(absl::string_view path) const;

 private:
  struct Node {
    Verdict verdict;
    std::vector<std::string> parents;
  };
  const std::string* FailingParent(const Node& node) const;

  absl::flat_hash_map<std::string, Node> nodes_;
};

}  // namespace fleet::collector
