#include "agent/minio/discover.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/listening.h"
#include "agent/minio/health.h"

namespace fleet::agent {
namespace {

constexpr uint16_t kPort = 9000;
constexpr size_t kListenersMax = 8;
constexpr absl::Duration kTimeout = absl::Seconds(1);
constexpr size_t kBodyBytesMax = 64 << 10;

HttpRequest LiveRequest(absl::string_view url) {
  HttpRequest request;
  request.url = absl::StrCat(url, "/minio/health/live");
  request.timeout = kTimeout;
  request.body_bytes_max = kBodyBytesMax;
  request.reuse_connection = false;
  // Who it is, not whether to trust it: the check itself verifies.
  request.verify_tls = false;
  return request;
}

/// Those of `urls` that answer as minio does; `tls` gets those that want https instead.
std::vector<std::string> Ask(const std::vector<std::string>& urls, HttpClient& client,
                             std::vector<std::string>& tls) {
  std::vector<HttpRequest> requests;
  for (const std::string& url : urls) requests.push_back(LiveRequest(url));
  const auto replies = client.FetchAll(requests);
  std::vector<std::string> found;
  for (size_t i = 0; i < replies.size(); ++i) {
    if (!replies[i].ok()) continue;
    if (IsFromMinio(*replies[i])) {
      found.push_back(urls[i]);
    } else if (replies[i]->code == 400 && absl::StrContains(replies[i]->body, "HTTPS server")) {
      tls.push_back(absl::StrCat("https", urls[i].substr(4)));
    }
  }
  return found;
}

}  // namespace

std::vector<std::string> DiscoverMinio(const HostFs& fs, HttpClient& client) {
  if (!fs.live()) return {};
  const absl::StatusOr<std::vector<TcpListener>> listening = ListeningTcp(fs);
  if (!listening.ok()) return {};
  std::set<std::string> addresses;  // one server may listen on both families
  for (const TcpListener& listener : *listening) {
    if (listener.port != kPort || addresses.size() == kListenersMax) continue;
    const bool everywhere = listener.address == "::" || listener.address == "0.0.0.0";
    addresses.insert(everywhere ? absl::StrCat("127.0.0.1:", kPort) : DialHostPort(listener));
  }
  std::vector<std::string> urls;
  for (const std::string& address : addresses) urls.push_back(absl::StrCat("http://", address));
  std::vector<std::string> tls;
  std::vector<std::string> found = Ask(urls, client, tls);
  std::vector<std::string> ignored;
  for (std::string& url : Ask(tls, client, ignored)) found.push_back(std::move(url));
  return found;
}

}  // namespace fleet::agent
