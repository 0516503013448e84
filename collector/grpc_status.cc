#include "collector/grpc_status.h"

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"

namespace fleet::collector {

std::string HostOfPeer(absl::string_view peer) {
  std::string text = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}});
  const size_t scheme = text.find(':');
  if (!absl::StartsWith(text, "ipv4:") && !absl::StartsWith(text, "ipv6:")) return text;
  text = text.substr(scheme + 1);
  const size_t port = text.rfind(':');
  if (port != std::string::npos) text.resize(port);
  if (absl::StartsWith(text, "[") && absl::EndsWith(text, "]"))
    text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace fleet::collector
