#include "collector/remote_write/options.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

constexpr size_t kNameBytesMax = 100;
constexpr absl::Duration kTimeoutMax = absl::Minutes(5);
constexpr uint32_t kSamplesMax = 100'000;

/// "host:port" of "http://host:port/path"; empty for no such URL.
absl::string_view Authority(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "http://") && !absl::ConsumePrefix(&url, "https://")) return {};
  return url.substr(0, url.find_first_of("/?#"));
}

bool IsHeaderName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  });
}

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

/// The problems of one receiver, each at its key.
class Checker {
 public:
  Checker(std::string at, ConfigLoader& loader) : at_(std::move(at)), loader_(loader) {}

  void Add(absl::string_view key, const std::string& message) {
    loader_.AddProblem(absl::StrCat(at_, ".", key), message);
  }
  void CheckSecret(absl::string_view key, const std::string& path) {
    if (path.empty()) return;
    const absl::StatusOr<std::string> secret = ReadSecretFile(path);
    if (!secret.ok()) Add(key, std::string(secret.status().message()));
  }

 private:
  const std::string at_;
  ConfigLoader& loader_;
};

void ReadUrl(const v1::RemoteWriteConfig& config, ReceiverOptions& options, Checker& checker) {
  options.url = config.url();
  const absl::string_view authority = Authority(config.url());
  if (authority.empty() || !IsPrintable(config.url())) {
    checker.Add("url",
                absl::StrCat("expected a URL such as http://127.0.0.1:9090/api/v1/write, not ",
                             Quote(config.url())));
  } else if (absl::StrContains(authority, '@')) {
    checker.Add("url", "expected no password in it: use user and password_file");
  }
  options.name = config.name().empty() ? std::string(authority) : config.name();
  if (options.name.size() > kNameBytesMax || !IsPrintable(options.name)) {
    checker.Add("name", "expected a short name on one line");
  }
}

void ReadAccess(const v1::RemoteWriteConfig& config, ReceiverOptions& options, Checker& checker) {
  options.user = config.user();
  options.password_file = config.password_file();
  options.bearer_token_file = config.bearer_token_file();
  options.ca = config.ca();
  if (options.user.empty() != options.password_file.empty()) {
    checker.Add(options.user.empty() ? "password_file" : "user",
                "expected user and password_file, both or none");
  }
  if (!options.user.empty() && !options.bearer_token_file.empty()) {
    checker.Add("bearer_token_file", "either a user or a token, not both");
  }
  checker.CheckSecret("password_file", options.password_file);
  checker.CheckSecret("bearer_token_file", options.bearer_token_file);
  if (!options.ca.empty() && ::access(options.ca.c_str(), R_OK) != 0) {
    checker.Add("ca", absl::StrCat("cannot read ", Quote(options.ca)));
  }
  for (const auto& [name, value] : config.headers()) {
    if (!IsHeaderName(name) || !IsPrintable(value)) {
      checker.Add(absl::StrCat("headers.", name), "expected the name and value of an HTTP header");
    }
    options.headers.emplace_back(name, value);
  }
  std::sort(options.headers.begin(), options.headers.end());
}

void ReadLimits(const v1::RemoteWriteConfig& config, ReceiverOptions& options, Checker& checker) {
  if (config.has_timeout()) {
    options.timeout = absl::Seconds(config.timeout());
    if (options.timeout <= absl::ZeroDuration() || options.timeout > kTimeoutMax) {
      checker.Add("timeout", "expected more than 0s and at most 5m");
    }
  }
  if (config.has_samples_per_request()) {
    options.samples_per_request = config.samples_per_request();
    if (config.samples_per_request() == 0 || config.samples_per_request() > kSamplesMax) {
      checker.Add("samples_per_request", absl::StrCat("expected 1 to ", kSamplesMax));
    }
  }
  if (config.has_backfill()) {
    options.backfill = absl::Seconds(config.backfill());
    if (options.backfill < absl::ZeroDuration()) checker.Add("backfill", "expected 0s or more");
  }
}

}  // namespace

std::vector<ReceiverOptions> ReadRemoteWrite(const v1::CollectorConfig& config,
                                             ConfigLoader& loader) {
  std::vector<ReceiverOptions> receivers;
  std::set<std::string> names;
  for (int i = 0; i < config.remote_write_size(); ++i) {
    Checker checker(absl::StrCat("remote_write[", i, "]"), loader);
    ReceiverOptions options;
    ReadUrl(config.remote_write(i), options, checker);
    ReadAccess(config.remote_write(i), options, checker);
    ReadLimits(config.remote_write(i), options, checker);
    if (!names.insert(options.name).second) {
      checker.Add("name", absl::StrCat("another receiver is called ", Quote(options.name)));
    }
    receivers.push_back(std::move(options));
  }
  if (!receivers.empty() && config.data_dir().empty()) {
    loader.AddProblem("data_dir", "expected a folder: remote-write reads the journal there");
  }
  return receivers;
}

}  // namespace fleet::collector
