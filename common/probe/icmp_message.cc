#include "common/probe/icmp_message.h"

namespace fleet::probe {
namespace {

constexpr size_t kHeaderBytes = 8;  // type, code, checksum, identifier, sequence
constexpr unsigned char kRequest4 = 8, kReply4 = 0, kRequest6 = 128, kReply6 = 129;

}  // namespace

std::string MakeEchoRequest(bool v6, uint16_t sequence, absl::string_view payload) {
  std::string bytes(kHeaderBytes, '\0');
  bytes[0] = static_cast<char>(v6 ? kRequest6 : kRequest4);
  bytes[6] = static_cast<char>(sequence >> 8);
  bytes[7] = static_cast<char>(sequence & 0xff);
  bytes.append(payload.data(), payload.size());
  return bytes;
}

std::optional<EchoReply> ParseEchoReply(bool v6, absl::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  if (byte(0) != (v6 ? kReply6 : kReply4) || byte(1) != 0) return std::nullopt;
  EchoReply reply;
  reply.sequence = static_cast<uint16_t>(byte(6) << 8 | byte(7));
  reply.payload = bytes.substr(kHeaderBytes);
  return reply;
}

}  // namespace fleet::probe
