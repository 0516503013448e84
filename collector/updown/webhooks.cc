#include "collector/updown/webhooks.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "collector/updown/event_json.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr size_t kReplyBytesMax = 64 << 10;
constexpr size_t kUrlShownMax = 60;  // the end of a URL may be a secret

/// What came of one attempt.
enum class Outcome { kDelivered, kUnreachable, kRefused, kStopped };

/// A receiver that says that this very request is wrong; everything else may pass.
bool IsRefusal(int code) {
  return code >= 400 && code < 500 && code != 408 && code != 425 && code != 429;
}

std::string Shown(const Recipient& recipient) {
  return recipient.name.empty() ? recipient.value.substr(0, kUrlShownMax) : recipient.name;
}

}  // namespace

absl::Duration RetryDelay(int attempts, absl::Duration first) {
  const double n = std::max(0, attempts - 1);
  const double factor = 1 + n * n * n * n / 15;
  return std::min(first * factor, Webhooks::kRetryMax);
}

/// One recipient: what it has, and the thread that brings it more.
class Webhooks::Feed {
 public:
  Feed(const Parts& parts, Counts& counts, Recipient recipient)
      : parts_(parts), counts_(counts), recipient_(std::move(recipient)) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      Run(stop);
      MutexLock lock(mutex_);
      done_ = true;
      wake_.notify_all();
    });
  }

  void Wake() {
    MutexLock lock(mutex_);
    news_ = true;
    wake_.notify_all();
  }
  /// Begins nothing more.
  void Stop() { thread_.request_stop(); }
  /// Lets what is being sent be answered until `deadline`: cut off, it would be sent again.
  void Finish(SteadyTime deadline) {
    {
      MutexLock lock(mutex_);
      Clock::Real().WaitUntil(mutex_, wake_, {}, deadline,
                              [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return done_; });
    }
    abort_.request_stop();
  }
  size_t parked() const { return parked_; }

 private:
  void Run(const std::stop_token& stop);
  /// Delivers what is due. Returns when something is due again.
  absl::StatusOr<absl::Time> Round(const std::stop_token& stop);
  absl::Status Begin();
  absl::StatusOr<absl::Time> TryParked(const std::stop_token& stop);
  absl::Status Handle(const ProbeEvent& event);
  bool IsFor(const ProbeEvent& event) const;
  Outcome Deliver(const ProbeEvent& event);
  Outcome Send(const ProbeEvent& event);
  void GiveUp(const ProbeEvent& event);

  const Parts& parts_;
  Counts& counts_;
  const Recipient recipient_;
  fleet::HttpClient client_;
  std::optional<WebhookStore::Place> place_;
  std::atomic<size_t> parked_ = 0;
  std::string last_error_;
  /// Delivered, while the disk would not note it: not sent again for that.
  std::set<int64_t> unnoted_;

  Mutex mutex_;
  std::condition_variable_any wake_;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::stop_source abort_;
  std::jthread thread_;  // last: it uses all of the above
};

void Webhooks::Feed::Run(const std::stop_token& stop) {
  bool failing = false;
  while (!stop.stop_requested()) {
    const absl::StatusOr<absl::Time> next = Round(stop);
    if (absl::IsCancelled(next.status())) return;
    if (next.ok() == failing) {  // the state has changed: say so once
      failing = !next.ok();
      if (failing) log::Warning("webhooks wait for the disk", {{"error", next.status()}});
    }
    const absl::Duration wait =
        next.ok() ? std::clamp(*next - parts_.clock.Now(), absl::ZeroDuration(), kLookEvery)
                  : kLookEvery;
    MutexLock lock(mutex_);
    parts_.clock.WaitUntil(
        mutex_, wake_, stop, SteadyAfter(parts_.clock.SteadyNow(), wait),
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return std::exchange(news_, false); });
  }
}

/// Where it stands; one that is new begins with what happens from now on.
absl::Status Webhooks::Feed::Begin() {
  FLEET_ASSIGN_OR_RETURN(std::optional<WebhookStore::Place> place,
                         parts_.store.Find(recipient_.id));
  if (!place.has_value()) {
    place.emplace();
    for (;;) {
      FLEET_ASSIGN_OR_RETURN(const std::vector<ProbeEvent> past,
                             parts_.probes.Events(place->event, kEventsAtOnce));
      if (past.empty()) break;
      place->event = past.back().id;
    }
    FLEET_RETURN_IF_ERROR(parts_.store.Save(recipient_.id, *place));
  }
  place_ = *place;
  return absl::OkStatus();
}

absl::StatusOr<absl::Time> Webhooks::Feed::Round(const std::stop_token& stop) {
  if (!place_.has_value()) FLEET_RETURN_IF_ERROR(Begin());
  FLEET_ASSIGN_OR_RETURN(absl::Time next, TryParked(stop));
  while (!stop.stop_requested()) {
    if (place_->attempts > 0 && parts_.clock.Now() < place_->next_try) {
      return std::min(next, place_->next_try);
    }
    FLEET_ASSIGN_OR_RETURN(const std::vector<ProbeEvent> events,
                           parts_.probes.Events(place_->event, kEventsAtOnce));
    if (events.empty()) break;
    const int64_t before = place_->event;
    for (const ProbeEvent& event : events) {
      if (stop.stop_requested()) return next;
      FLEET_RETURN_IF_ERROR(Handle(event));
      if (place_->attempts > 0) break;  // it did not get through: the next ones wait
    }
    if (place_->event == before) continue;
  }
  return next;
}

bool Webhooks::Feed::IsFor(const ProbeEvent& event) const {
  if (!IsWebhookEvent(event.kind)) return false;
  if (event.view.check == nullptr) return recipient_.selected;
  if (event.view.status.muted) return false;
  const std::vector<std::string>& named = event.view.check->recipients;
  return named.empty() ? recipient_.selected : absl::c_linear_search(named, recipient_.id);
}

absl::Status Webhooks::Feed::Handle(const ProbeEvent& event) {
  WebhookStore::Place after{event.id};
  if (IsFor(event)) {
    const Outcome outcome = Deliver(event);
    if (outcome == Outcome::kStopped) return absl::CancelledError("stopped");
    const int attempts = place_->attempts + 1;
    if (outcome == Outcome::kDelivered) {
      // nothing is left to do
    } else if (attempts >= kAttemptsMax) {
      GiveUp(event);
    } else if (outcome == Outcome::kRefused && parked_ < kParkedMax) {
      const ParkedEvent parked{event.id, attempts,
                               parts_.clock.Now() + RetryDelay(attempts, parts_.retry_first)};
      FLEET_RETURN_IF_ERROR(parts_.store.ParkAndSave(recipient_.id, parked, after));
      ++parked_;
      place_ = after;
      return absl::OkStatus();
    } else {
      after = *place_;
      after.attempts = attempts;
      after.next_try = parts_.clock.Now() + RetryDelay(attempts, parts_.retry_first);
    }
  }
  // On disk before the next one goes out: what was delivered is never sent again.
  FLEET_RETURN_IF_ERROR(parts_.store.Save(recipient_.id, after));
  unnoted_.erase(event.id);
  place_ = after;
  return absl::OkStatus();
}

absl::StatusOr<absl::Time> Webhooks::Feed::TryParked(const std::stop_token& stop) {
  absl::Time next = absl::InfiniteFuture();
  FLEET_ASSIGN_OR_RETURN(const std::vector<ParkedEvent> parked, parts_.store.Parked(recipient_.id));
  parked_ = parked.size();
  for (ParkedEvent one : parked) {
    if (stop.stop_requested()) break;
    if (one.next_try > parts_.clock.Now()) {
      next = std::min(next, one.next_try);
      continue;
    }
    FLEET_ASSIGN_OR_RETURN(const std::vector<ProbeEvent> events,
                           parts_.probes.Events(one.event - 1, 1));
    const bool there = !events.empty() && events[0].id == one.event;
    const Outcome outcome = there ? Deliver(events[0]) : Outcome::kRefused;
    if (outcome == Outcome::kStopped) return absl::CancelledError("stopped");
    if (outcome == Outcome::kDelivered) {
      // nothing is left to do
    } else if (!there) {
      ++counts_.lost;
    } else if (++one.attempts >= kAttemptsMax) {
      GiveUp(events[0]);
    } else {
      one.next_try = parts_.clock.Now() + RetryDelay(one.attempts, parts_.retry_first);
      next = std::min(next, one.next_try);
      FLEET_RETURN_IF_ERROR(parts_.store.Park(recipient_.id, one));
      continue;
    }
    FLEET_RETURN_IF_ERROR(parts_.store.Unpark(recipient_.id, one.event));
    unnoted_.erase(one.event);
    --parked_;
  }
  return next;
}

Outcome Webhooks::Feed::Deliver(const ProbeEvent& event) {
  if (unnoted_.count(event.id) > 0) return Outcome::kDelivered;
  const Outcome outcome = Send(event);
  if (outcome == Outcome::kDelivered) {
    unnoted_.insert(event.id);
    ++counts_.delivered;
  }
  return outcome;
}

Outcome Webhooks::Feed::Send(const ProbeEvent& event) {
  fleet::HttpRequest request;
  request.method = "POST";
  request.url = recipient_.value;
  // Receivers compare the agent's name to the letter.
  request.headers = {{"User-Agent", "updown.io webhooks"}, {"Content-Type", "application/json"}};
  request.body =
      recipient_.type == "webhook" ? WebhookBody(event, parts_.base_url) : ChatBody(event);
  request.timeout = kTimeout;
  request.body_bytes_max = kReplyBytesMax;
  if (recipient_.immutable) {
    if (parts_.ca_of) request.ca_file = parts_.ca_of(recipient_.value);
  } else {
    request.guard = parts_.guard;
  }
  const absl::StatusOr<fleet::HttpResponse> reply =
      client_.FetchAll({request}, abort_.get_token())[0];
  if (absl::IsCancelled(reply.status())) return Outcome::kStopped;
  std::string error;
  if (!reply.ok()) {
    error = std::string(reply.status().message());
  } else if (reply->code < 200 || reply->code >= 300) {
    error = absl::StrCat("status ", reply->code);
  }
  if (error != last_error_) {  // log changes, not states
    if (!error.empty()) {
      log::Warning("webhook failed", {{"recipient", Shown(recipient_)}, {"error", error}});
    } else {
      log::Info("webhook works again", {{"recipient", Shown(recipient_)}});
    }
    last_error_ = error;
  }
  if (error.empty()) return Outcome::kDelivered;
  ++counts_.failed;
  return reply.ok() && IsRefusal(reply->code) ? Outcome::kRefused : Outcome::kUnreachable;
}

void Webhooks::Feed::GiveUp(const ProbeEvent& event) {
  ++counts_.given_up;
  log::Warning("webhook given up",
               {{"recipient", Shown(recipient_)}, {"event", event.kind}, {"check", event.token}});
  if (parts_.events == nullptr) return;
  Event told;
  told.time = parts_.clock.Now();
  told.subject = Shown(recipient_);
  told.kind = "webhook";
  told.to = "given_up";
  told.text = absl::StrCat(event.kind, " of ", event.token, " was not taken in ", kAttemptsMax,
                           " attempts: ", last_error_);
  parts_.events->Append(std::move(told));
}

// ---- all of them ------------------------------------------------------------------------------

Webhooks::Webhooks(Parts parts) : parts_(std::move(parts)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Webhooks::~Webhooks() {
  thread_ = {};
  MutexLock lock(mutex_);
  // All at once, so that those who wait for a slow receiver wait together.
  for (auto& [id, feed] : feeds_) feed->Stop();
  const SteadyTime deadline = SteadyAfter(Clock::Real().SteadyNow(), kStopGrace);
  for (auto& [id, feed] : feeds_) feed->Finish(deadline);
  feeds_.clear();
}

void Webhooks::Wake() {
  MutexLock lock(mutex_);
  news_ = true;
  wake_.notify_all();
}

size_t Webhooks::waiting() const {
  MutexLock lock(mutex_);
  size_t most = 0;
  for (const auto& [id, feed] : feeds_) most = std::max(most, feed->parked());
  return most;
}

void Webhooks::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const SteadyTime began = parts_.clock.SteadyNow();
    Reconcile();
    MutexLock lock(mutex_);
    for (const auto& [id, feed] : feeds_) feed->Wake();
    parts_.clock.WaitUntil(
        mutex_, wake_, stop, SteadyAfter(parts_.clock.SteadyNow(), kLookEvery),
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return std::exchange(news_, false); });
    // Probes change many times a second, events come seldom.
    parts_.clock.WaitUntil(mutex_, wake_, stop, SteadyAfter(began, kLookGapMin),
                           [] { return false; });
  }
}

/// A feed for each recipient that there is, and none for others.
void Webhooks::Reconcile() {
  std::set<std::string> wanted;
  for (Recipient& recipient : parts_.recipients.Recipients()) {
    wanted.insert(recipient.id);
    MutexLock lock(mutex_);
    if (feeds_.count(recipient.id) > 0) continue;
    const std::string id = recipient.id;
    feeds_.emplace(id, std::make_unique<Feed>(parts_, counts_, std::move(recipient)));
  }
  std::vector<std::pair<std::string, std::unique_ptr<Feed>>> ended;
  {
    MutexLock lock(mutex_);
    for (auto& [id, feed] : feeds_) {
      if (wanted.count(id) == 0) ended.emplace_back(id, std::move(feed));
    }
    for (const auto& [id, feed] : ended) feeds_.erase(id);
  }
  for (auto& [id, feed] : ended) {
    feed->Stop();
    feed->Finish(SteadyAfter(Clock::Real().SteadyNow(), kStopGrace));
    feed.reset();
    const absl::Status forgotten = parts_.store.Forget(id);
    if (!forgotten.ok()) log::Warning("webhook not forgotten", {{"error", forgotten}});
  }
}

}  // namespace fleet::collector
