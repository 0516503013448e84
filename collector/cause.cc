#include "collector/cause.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace fleet::collector {
namespace {

// Longer chains exist only in hostile reports.
constexpr size_t kChainMax = 16;

}  // namespace

std::string ResolveParent(absl::string_view host, absl::string_view parent) {
  if (absl::ConsumePrefix(&parent, "./")) return absl::StrCat(host, "/", parent);
  return std::string(parent);
}

void CauseGraph::Add(std::string path, Verdict verdict, std::vector<std::string> parents) {
  nodes_.insert_or_assign(std::move(path), Node{verdict, std::move(parents)});
}

const std::string* CauseGraph::FailingParent(const Node& node) const {
  for (const std::string& parent : node.parents) {
    const auto found = nodes_.find(parent);
    if (found == nodes_.end() || found->second.verdict == Verdict::kOk) continue;
    if (!IsWorse(Verdict::kUnknown, found->second.verdict) ||
        !IsWorse(node.verdict, found->second.verdict)) {
      return &parent;
    }
  }
  return nullptr;
}

std::string CauseGraph::RootCause(absl::string_view path) const {
  auto found = nodes_.find(path);
  if (found == nodes_.end() || found->second.verdict == Verdict::kOk) return "";
  std::vector<absl::string_view> chain = {path};
  while (chain.size() < kChainMax) {
    const std::string* parent = FailingParent(found->second);
    if (parent == nullptr || std::find(chain.begin(), chain.end(), *parent) != chain.end()) break;
    chain.push_back(*parent);
    found = nodes_.find(*parent);
  }
  return chain.size() == 1 ? "" : std::string(chain.back());
}

}  // namespace fleet::collector
