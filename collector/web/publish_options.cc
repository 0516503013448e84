#include "collector/web/publish_options.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/secret.h"

namespace fleet::collector {
namespace {

constexpr size_t kNameBytesMax = 100;
constexpr absl::Duration kTimeoutMax = absl::Minutes(5);

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

bool IsHeaderName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  });
}

class Reader {
 public:
  Reader(const v1::PublishConfig& config, std::string at, ConfigLoader& loader)
      : config_(config), at_(std::move(at)), loader_(loader) {}

  PublishOptions Read() {
    ReadPlace();
    ReadAccess();
    ReadRest();
    return std::move(options_);
  }

 private:
  void Add(absl::string_view key, const std::string& message) {
    loader_.AddProblem(absl::StrCat(at_, ".", key), message);
  }

  void ReadPlace() {
    options_.directory = config_.directory();
    options_.url = std::string(absl::StripSuffix(config_.url(), "/"));
    if (options_.directory.empty() == options_.url.empty()) {
      Add("directory", "expected either a directory or the url of a bucket");
    } else if (!options_.directory.empty()) {
      if (options_.directory[0] != '/') Add("directory", "expected an absolute path");
      options_.name = options_.directory;
    } else {
      ReadUrl();
    }
    if (!config_.name().empty()) options_.name = config_.name();
    if (options_.name.size() > kNameBytesMax || !IsPrintable(options_.name)) {
      Add("name", "expected a short name on one line");
    }
  }

  void ReadUrl() {
    absl::string_view rest = options_.url;
    const bool http =
        absl::ConsumePrefix(&rest, "http://") || absl::ConsumePrefix(&rest, "https://");
    const absl::string_view authority = rest.substr(0, rest.find('/'));
    if (!http || authority.empty() || !IsPrintable(options_.url) ||
        rest.find_first_of("?#@") != absl::string_view::npos) {
      Add("url", absl::StrCat("expected an address such as "
                              "https://s3.eu-west-1.amazonaws.com/BUCKET, not ",
                              Quote(options_.url)));
    }
    options_.name = std::string(rest);
  }

  void ReadAccess() {
    options_.access_key_file = config_.access_key_file();
    options_.secret_key_file = config_.secret_key_file();
    if (options_.access_key_file.empty() != options_.secret_key_file.empty()) {
      Add(options_.access_key_file.empty() ? "access_key_file" : "secret_key_file",
          "expected access_key_file and secret_key_file, both or none");
    }
    if (!options_.access_key_file.empty() && options_.url.empty()) {
      Add("access_key_file", "a directory needs no keys");
    }
    CheckSecret("access_key_file", options_.access_key_file);
    CheckSecret("secret_key_file", options_.secret_key_file);
  }

  void CheckSecret(absl::string_view key, const std::string& path) {
    if (path.empty()) return;
    const absl::StatusOr<std::string> secret = ReadSecretFile(path);
    if (!secret.ok()) Add(key, std::string(secret.status().message()));
  }

  void ReadRest() {
    if (!config_.region().empty()) options_.region = config_.region();
    options_.ca = config_.ca();
    if (!options_.ca.empty() && ::access(options_.ca.c_str(), R_OK) != 0) {
      Add("ca", absl::StrCat("cannot read ", Quote(options_.ca)));
    }
    for (const auto& [name, value] : config_.headers()) {
      if (!IsHeaderName(name) || !IsPrintable(value)) {
        Add(absl::StrCat("headers.", name), "expected the name and value of an HTTP header");
      }
      options_.headers.emplace_back(name, value);
    }
    std::sort(options_.headers.begin(), options_.headers.end());
    if (config_.has_timeout()) {
      options_.timeout = absl::Seconds(config_.timeout());
      if (options_.timeout <= absl::ZeroDuration() || options_.timeout > kTimeoutMax) {
        Add("timeout", "expected more than 0s and at most 5m");
      }
    }
  }

  const v1::PublishConfig& config_;
  const std::string at_;
  ConfigLoader& loader_;
  PublishOptions options_;
};

}  // namespace

std::vector<PublishOptions> ReadPublish(const v1::CollectorConfig& config, ConfigLoader& loader) {
  std::vector<PublishOptions> targets;
  std::set<std::string> names;
  for (int i = 0; i < config.publish_size(); ++i) {
    const std::string at = absl::StrCat("publish[", i, "]");
    PublishOptions options = Reader(config.publish(i), at, loader).Read();
    if (!names.insert(options.name).second) {
      loader.AddProblem(absl::StrCat(at, ".name"),
                        absl::StrCat("another target is called ", Quote(options.name)));
    }
    targets.push_back(std::move(options));
  }
  return targets;
}

}  // namespace fleet::collector
