#include "agent/redis/sidekiq_process.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

using Json = nlohmann::json;

constexpr size_t kJsonBytesMax = 64 << 10;

absl::Status Malformed(absl::string_view what, absl::string_view json) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", what, " in ", Quote(json)));
}

/// The element `key` of an object, or null.
const Json* Find(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

void AddQueue(const std::string& queue, SidekiqInfo& info) {
  if (std::find(info.queues.begin(), info.queues.end(), queue) == info.queues.end()) {
    info.queues.push_back(queue);
  }
}

/// Adds threads and queues of one capsule. False when they are of another type.
bool AddCapsule(const Json& capsule, bool with_concurrency, SidekiqInfo& info) {
  if (!capsule.is_object()) return false;
  if (const Json* threads = Find(capsule, "concurrency"); threads != nullptr && with_concurrency) {
    if (!threads->is_number()) return false;
    info.concurrency += threads->get<double>();
  }
  if (const Json* weights = Find(capsule, "weights"); weights != nullptr) {
    if (!weights->is_object()) return false;
    for (const auto& weight : weights->items()) AddQueue(weight.key(), info);
  }
  return true;
}

}  // namespace

absl::StatusOr<SidekiqInfo> ParseSidekiqInfo(absl::string_view json) {
  if (json.size() > kJsonBytesMax) return Malformed("at most 64 KiB", json);
  const Json object = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Malformed("a JSON object", json);

  SidekiqInfo info;
  for (const auto& [key, value] :
       {std::pair{"hostname", &info.hostname}, std::pair{"version", &info.version}}) {
    const Json* text = Find(object, key);
    if (text == nullptr) continue;
    if (!text->is_string()) return Malformed(absl::StrCat("a text for ", key), json);
    *value = text->get<std::string>();
  }
  const Json* threads = Find(object, "concurrency");
  if (threads != nullptr) {
    if (!threads->is_number()) return Malformed("a number for concurrency", json);
    info.concurrency = threads->get<double>();
  }
  if (const Json* queues = Find(object, "queues"); queues != nullptr) {
    if (!queues->is_array()) return Malformed("a list for queues", json);
    for (const Json& queue : *queues) {
      if (!queue.is_string()) return Malformed("texts in queues", json);
      AddQueue(queue.get<std::string>(), info);
    }
  }
  if (const Json* capsules = Find(object, "capsules"); capsules != nullptr) {
    if (!capsules->is_object()) return Malformed("an object for capsules", json);
    for (const Json& capsule : *capsules) {
      if (!AddCapsule(capsule, threads == nullptr, info)) {
        return Malformed("capsules with concurrency and weights", json);
      }
    }
  }
  if (info.queues.empty()) return Malformed("queues", json);
  if (!(info.concurrency >= 0 && info.concurrency < 1e6)) {
    return Malformed("a sane concurrency", json);
  }
  return info;
}

}  // namespace fleet::agent
