#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

/// The opening handshake of RFC 6455.
namespace fleet::probe {

/// 16 random bytes in base64.
std::string MakeWebSocketKey();
/// What a server that speaks WebSocket answers to it.
std::string WebSocketAccept(absl::string_view key);
std::vector<std::pair<std::string, std::string>> WebSocketHeaders(absl::string_view key);

}  // namespace fleet::probe
