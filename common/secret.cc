#include "common/secret.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/scoped_fd.h"

namespace fleet {
namespace {

constexpr size_t kSecretBytesMax = 64 << 10;

}  // namespace

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  std::string full = path;
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  if (!full.empty() && full[0] != '/' && credentials != nullptr) {
    full = absl::StrCat(credentials, "/", path);
  }
  const ScopedFd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", full));
  std::string secret(kSecretBytesMax + 1, '\0');
  size_t used = 0;
  while (used < secret.size()) {
    const ssize_t got = ::read(fd.get(), secret.data() + used, secret.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", full));
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  if (used > kSecretBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(full, " is longer than ", kSecretBytesMax, " bytes"));
  }
  secret.resize(used);
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) return absl::InvalidArgumentError(absl::StrCat(full, " is empty"));
  return secret;
}

}  // namespace fleet
