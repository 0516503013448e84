#pragma once

#include <string>
#include <vector>

#include "agent/host_fs.h"
#include "common/http_client.h"

namespace fleet::agent {

/// The URLs of what listens on port 9000 of this host and answers as minio does, over http or
/// https. Asks each listener once, all at the same time, for two seconds at most, and sends no
/// secret. Empty on a fixture host.
std::vector<std::string> DiscoverMinio(const HostFs& fs, HttpClient& client);

}  // namespace fleet::agent
