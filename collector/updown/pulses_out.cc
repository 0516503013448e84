#include "collector/updown/pulses_out.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace fleet::collector {
namespace {

constexpr size_t kReplyBytesMax = 64 << 10;

/// `url` without the query that Uptime Kuma's own page shows behind it.
std::string WithoutQuery(const std::string& url) { return url.substr(0, url.find('?')); }

}  // namespace

std::optional<fleet::HttpRequest> PulseRequest(const PulseOptions& options,
                                               const absl::Status& good) {
  fleet::HttpRequest request;
  request.method = options.method;
  request.url = options.url;
  request.ca_file = options.ca;
  request.timeout = PulsesOut::kTimeout;
  request.body_bytes_max = kReplyBytesMax;
  const std::string why(good.message());
  switch (options.shape) {
    case PulseShape::kUpdown:
      if (!good.ok()) return std::nullopt;
      break;
    case PulseShape::kHealthchecks:
      if (!good.ok()) {
        request.url =
            absl::StrCat(options.url, absl::EndsWith(options.url, "/") ? "" : "/", "fail");
        if (request.method == "POST") request.body = why;
      }
      break;
    case PulseShape::kKuma:
      request.url = absl::StrCat(
          WithoutQuery(options.url), "?",
          MakeQuery({{"status", good.ok() ? "up" : "down"}, {"msg", good.ok() ? "OK" : why}}));
      break;
    case PulseShape::kGatus: {
      std::vector<std::pair<std::string, std::string>> query = {
          {"success", good.ok() ? "true" : "false"}};
      if (!good.ok()) query.emplace_back("error", why);
      request.url = absl::StrCat(WithoutQuery(options.url), "?", MakeQuery(std::move(query)));
      break;
    }
  }
  if (!options.bearer_token.empty()) {
    request.headers.emplace_back("Authorization", absl::StrCat("Bearer ", options.bearer_token));
  }
  return request;
}

PulsesOut::PulsesOut(std::vector<PulseOptions> pulses, std::function<absl::Status()> well,
                     Clock& clock)
    : well_(std::move(well)), clock_(clock) {
  for (PulseOptions& options : pulses) {
    Target target;
    target.next = clock_.SteadyNow();
    target.count.name = options.name;
    target.options = std::move(options);
    targets_.push_back(std::move(target));
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

std::vector<PulsesOut::Count> PulsesOut::counts() const {
  std::vector<Count> counts;
  MutexLock lock(mutex_);
  for (const Target& target : targets_) counts.push_back(target.count);
  return counts;
}

void PulsesOut::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Ping(stop);
    MutexLock lock(mutex_);
    if (targets_.empty()) return;
    const SteadyTime next =
        std::min_element(targets_.begin(), targets_.end(), [](const Target& a, const Target& b) {
          return a.next < b.next;
        })->next;
    clock_.WaitUntil(mutex_, wake_, stop, next, [] { return false; });
  }
}

void PulsesOut::Ping(const std::stop_token& stop) {
  const SteadyTime now = clock_.SteadyNow();
  const absl::Status good = well_();
  std::vector<fleet::HttpRequest> requests;
  std::vector<size_t> of;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < targets_.size(); ++i) {
      Target& target = targets_[i];
      if (now < target.next) continue;
      // What was missed (a machine that slept) is not caught up with.
      do {
        target.next = SteadyAfter(target.next, target.options.interval);
      } while (target.next <= now);
      std::optional<fleet::HttpRequest> request = PulseRequest(target.options, good);
      if (!good.ok()) ++target.count.held;
      if (!request.has_value()) continue;
      requests.push_back(*std::move(request));
      of.push_back(i);
    }
  }
  if (requests.empty()) return;
  const std::vector<absl::StatusOr<fleet::HttpResponse>> replies = client_.FetchAll(requests, stop);
  if (stop.stop_requested()) return;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < replies.size(); ++i) {
    Target& target = targets_[of[i]];
    const bool taken = replies[i].ok() && replies[i]->code >= 200 && replies[i]->code < 300;
    ++(taken ? target.count.sent : target.count.failed);
    if (taken != target.failing) continue;
    target.failing = !taken;
    const std::string error = replies[i].ok() ? absl::StrCat("status ", replies[i]->code)
                                              : std::string(replies[i].status().message());
    if (taken) {
      log::Info("pulse works again", {{"to", target.options.name}});
    } else {
      log::Warning("pulse failed", {{"to", target.options.name}, {"error", error}});
    }
  }
}

}  // namespace fleet::collector
