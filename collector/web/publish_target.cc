#include "collector/web/publish_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/http_client.h"
#include "common/scoped_fd.h"
#include "common/secret.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;
constexpr size_t kWordsBytesMax = 160;

absl::Status Errno(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

class DirectoryTarget final : public PublishTarget {
 public:
  explicit DirectoryTarget(std::string directory) : directory_(std::move(directory)) {}

  std::vector<absl::Status> Put(absl::Span<const Named> files,
                                const std::stop_token& stop) override {
    std::vector<absl::Status> results;
    for (const auto& [name, file] : files) {
      results.push_back(stop.stop_requested() ? absl::CancelledError("stopping")
                                              : PutOne(name, file->body));
    }
    return results;
  }

 private:
  /// Every directory that leads to `path`, for anybody to read: our umask may say otherwise.
  static absl::Status MakeDirectories(const std::string& path) {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
      const std::string directory = path.substr(0, at);
      if (::mkdir(directory.c_str(), kDirectoryMode) == 0) {
        if (::chmod(directory.c_str(), kDirectoryMode) != 0) return Errno("chmod", directory);
      } else if (errno != EEXIST && ::access(directory.c_str(), X_OK) != 0) {
        return Errno("mkdir", directory);
      }
    }
    return absl::OkStatus();
  }

  absl::Status PutOne(const std::string& name, const std::string& body) const {
    const std::string path = absl::StrCat(directory_, "/", name);
    FLEET_RETURN_IF_ERROR(MakeDirectories(path));
    const std::string partial = path + ".new";
    {
      const ScopedFd fd(::open(partial.c_str(),
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kFileMode));
      if (fd.get() < 0) return Errno("open", partial);
      if (::fchmod(fd.get(), kFileMode) != 0) return Errno("chmod", partial);
      for (size_t at = 0; at < body.size();) {
        const ssize_t wrote = ::write(fd.get(), body.data() + at, body.size() - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return Errno("write", partial);
        at += static_cast<size_t>(wrote);
      }
    }
    if (::rename(partial.c_str(), path.c_str()) != 0) return Errno("rename to", path);
    return absl::OkStatus();
  }

  const std::string directory_;
};

/// What an S3 server says in <Code>, or the beginning of whatever it says.
std::string Words(absl::string_view body) {
  const size_t begin = body.find("<Code>");
  const size_t end = body.find("</Code>");
  if (begin != absl::string_view::npos && end != absl::string_view::npos && begin + 6 < end) {
    body = body.substr(begin + 6, end - begin - 6);
  }
  return OneLine(body, kWordsBytesMax);
}

absl::Status ToStatus(const absl::StatusOr<HttpResponse>& response) {
  if (!response.ok()) return response.status();
  if (response->code >= 200 && response->code < 300) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("HTTP ", response->code, " ", Words(response->body)));
}

class BucketTarget final : public PublishTarget {
 public:
  explicit BucketTarget(const PublishOptions& options) : options_(options) {}

  std::vector<absl::Status> Put(absl::Span<const Named> files,
                                const std::stop_token& stop) override {
    std::optional<HttpSigner> signer;
    const absl::Status keys = ReadKeys(signer);
    if (!keys.ok()) return std::vector<absl::Status>(files.size(), keys);
    std::vector<HttpRequest> requests;
    for (const auto& [name, file] : files) {
      HttpRequest& request = requests.emplace_back();
      request.method = "PUT";
      request.url = absl::StrCat(options_.url, "/", PercentEncode(name, true));
      request.headers = options_.headers;
      request.headers.emplace_back("Content-Type", file->content_type);
      request.headers.emplace_back("Cache-Control", "no-cache");
      request.body = file->body;
      request.ca_file = options_.ca;
      request.signer = signer;
      request.timeout = options_.timeout;
    }
    std::vector<absl::Status> results;
    for (const auto& response : client_.FetchAll(requests, stop)) {
      results.push_back(ToStatus(response));
    }
    return results;
  }

 private:
  absl::Status ReadKeys(std::optional<HttpSigner>& signer) const {
    if (options_.access_key_file.empty()) return absl::OkStatus();
    signer.emplace();
    FLEET_ASSIGN_OR_RETURN(signer->access_key, ReadSecretFile(options_.access_key_file));
    FLEET_ASSIGN_OR_RETURN(signer->secret_key, ReadSecretFile(options_.secret_key_file));
    signer->region = options_.region;
    return absl::OkStatus();
  }

  const PublishOptions options_;
  HttpClient client_;
};

}  // namespace

std::unique_ptr<PublishTarget> MakeDirectoryTarget(const PublishOptions& options) {
  return std::make_unique<DirectoryTarget>(options.directory);
}

std::unique_ptr<PublishTarget> MakeBucketTarget(const PublishOptions& options) {
  return std::make_unique<BucketTarget>(options);
}

}  // namespace fleet::collector
