#include "collector/remote_write/receiver.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/remote_write/snappy.h"
#include "common/log.h"
#include "common/units.h"

namespace fleet::collector {
namespace {

constexpr size_t kFamiliesMax = 20'000;
constexpr size_t kFamiliesPerRequest = 500;
// A track of its own, beside those of the host's checks.
constexpr uint64_t kViewTrack = UINT64_MAX;

}  // namespace

uint64_t ReceiverStats::dropped() const {
  return std::accumulate(std::begin(samples.dropped), std::end(samples.dropped), uint64_t{0});
}

struct Receiver::Host {
  Host(const SegmentSource& source, SeriesContext& context, const Clock& clock,
       const std::string& name, SteadyTime started)
      : feed(source, context, clock, name, started),
        labels(std::make_shared<const HostLabels>(name, context.job)) {}

  HostFeed feed;
  const std::shared_ptr<const HostLabels> labels;
  std::optional<BuiltinSeries> view;  // to go out with the next batch; without a table: gone
  SeriesTrack view_track{kViewTrack};
  bool busy = false;    // in a slot
  bool viewed = false;  // in the newest snapshot
};

struct Receiver::Slot {
  Slot(Host& its_host, Batch batch) : host(its_host), delivery(std::move(batch), its_host.labels) {}

  Host& host;
  Delivery delivery;
  int failures = 0;
  SteadyTime not_before;
};

Receiver::Receiver(ReceiverOptions options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      started_(parts_.clock.SteadyNow()),
      views_at_(parts_.clock.SteadyNow()),
      metadata_at_(parts_.clock.SteadyNow()),
      retry_at_(parts_.clock.SteadyNow()),
      random_(std::random_device()()) {}
Receiver::~Receiver() = default;

Receiver::Host& Receiver::HostOf(const std::string& name) {
  std::unique_ptr<Host>& host = hosts_[name];
  if (host == nullptr) {
    host = std::make_unique<Host>(parts_.source, parts_.context, parts_.clock, name, started_);
  }
  return *host;
}

bool Receiver::Restore() {
  if (restored_) return true;
  const auto entries = parts_.cursors.Load(options_.name);
  if (!entries.ok()) {
    Fail(absl::StrCat("cannot read the cursors: ", entries.status().message()),
         absl::ZeroDuration());
    return false;
  }
  for (const CursorEntry& entry : *entries) HostOf(entry.host).feed.Restore(entry);
  if (entries->empty()) not_before_ = parts_.clock.Now() - options_.backfill;
  restored_ = true;
  return true;
}

void Receiver::Refresh() {
  const uint64_t version = parts_.source.version();
  if (version == seen_version_) return;
  seen_version_ = version;
  for (const std::string& name : parts_.source.Hosts()) HostOf(name);
  for (const auto& [name, host] : hosts_) {
    host->feed.Refresh(not_before_);
    work_.lost_reports += host->feed.TakeLosses().reports;
    unsaved_.push_back(host.get());
  }
  not_before_ = absl::InfinitePast();  // what comes later is not what the journal held
}

/// Takes what the collector itself sees of each host, every kViewEvery. It is not kept for later:
/// fleet_host_up of an hour ago helps nobody.
void Receiver::TakeViews() {
  const SteadyTime now = parts_.clock.SteadyNow();
  if (parts_.snapshot == nullptr || now < views_at_) return;
  views_at_ = SteadyAfter(now, kViewEvery);
  for (const auto& [name, host] : hosts_) host->viewed = false;
  for (const HostView& view : parts_.snapshot().hosts) {
    Host& host = HostOf(view.facts->name);
    host.viewed = true;
    host.view = MakeBuiltinSeries(view, BuiltinSource::kMoment, parts_.context.tables);
  }
  for (const auto& [name, host] : hosts_) {
    if (!host->viewed && host->view_track.open()) host->view = BuiltinSeries{};
  }
}

void Receiver::DropHosts() {
  for (auto at = hosts_.begin(); at != hosts_.end();) {
    const Host& host = *at->second;
    const bool done = host.feed.empty() && !host.viewed && !host.view.has_value() &&
                      !host.view_track.open() && !host.busy &&
                      std::find(unsaved_.begin(), unsaved_.end(), &host) == unsaved_.end();
    at = done ? hosts_.erase(at) : std::next(at);
  }
}

Batch Receiver::NextBatch(Host& host, absl::Time now) {
  Batch batch;
  if (host.feed.HasWork(now)) batch = host.feed.Next(now, options_.samples_per_request);
  const HostFeed::Losses losses = host.feed.TakeLosses();
  work_.lost_reports += losses.reports;
  work_.samples.Drop(DropReason::kFuture, losses.samples_future);
  if (host.view.has_value()) {
    host.view_track.Update(host.view->table, host.view->values, absl::ToUnixMillis(now), INT64_MIN,
                           &batch);
    host.view.reset();
  }
  return batch;
}

bool Receiver::IsAhead() const {
  const auto ahead = clock_.Ahead(parts_.clock.Now(), parts_.clock.SteadyNow());
  return ahead.has_value() && *ahead > kAheadMax;
}

bool Receiver::Ask(const ::fleet::HttpRequest& head) {
  asked_ = false;
  std::vector<::fleet::HttpRequest> requests = {head};
  requests[0].body = SnappyCompress("");
  ++work_.requests;
  const absl::StatusOr<::fleet::HttpResponse> response = parts_.post(requests)[0];
  if (absl::IsCancelled(response.status())) return false;  // we are stopping
  const absl::Time now = parts_.clock.Now();
  if (const Answer answer = ReadAnswer(response, now); answer.kind != Answer::Kind::kTaken) {
    ++work_.failed_requests;
    // VictoriaMetrics answers 400 to a path that it does not know, Go's TLS servers to plain HTTP.
    const bool wrong = answer.kind != Answer::Kind::kRetry;
    Fail(absl::StrCat(wrong ? "refuses even a request without samples, is the URL right? " : "",
                      answer.words),
         answer.retry_after);
    return false;
  }
  asked_ = true;
  clock_.Note(*response, now, parts_.clock.SteadyNow());
  return true;
}

bool Receiver::ClockAgrees(const ::fleet::HttpRequest& head) {
  if (asked_ && !IsAhead()) return true;
  if (!Ask(head)) return false;
  if (!IsAhead()) return true;
  const auto ahead = clock_.Ahead(parts_.clock.Now(), parts_.clock.SteadyNow());
  Fail(absl::StrCat("our clock is ", HumanDuration(*ahead),
                    " ahead of its own: nothing is sent until they agree"),
       absl::ZeroDuration());
  return false;
}

/// Gives free slots to hosts in turn. Returns whether any slot can send now.
bool Receiver::FillSlots() {
  if (IsAhead()) return false;
  const SteadyTime steady = parts_.clock.SteadyNow();
  const auto count_ready = [&] {
    return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return slot->not_before <= steady;
    }));
  };
  size_t ready = count_ready();
  const absl::Time now = parts_.clock.Now();
  // While it fails, one request at a time finds out whether it still does.
  const size_t wanted = failures_ > 0 ? 1 : kRequestsAtOnce;
  auto at = hosts_.lower_bound(next_host_);
  for (size_t seen = 0; seen < hosts_.size() && ready < wanted; ++seen, ++at) {
    if (slots_.size() >= kParkedMax) break;
    if (at == hosts_.end()) at = hosts_.begin();
    Host& host = *at->second;
    if (host.busy || (!host.view.has_value() && !host.feed.HasWork(now))) continue;
    Batch batch = NextBatch(host, now);
    unsaved_.push_back(&host);
    if (batch.samples() == 0) continue;
    NoteFamilies(batch);
    auto slot = std::make_unique<Slot>(host, std::move(batch));
    slot->delivery.Forego(known_, now, work_.samples);
    if (slot->delivery.done()) {
      Finish(*slot);
      continue;
    }
    host.busy = true;
    slot->not_before = steady;
    slots_.push_back(std::move(slot));
    ++ready;
  }
  next_host_ = at == hosts_.end() ? "" : at->first;
  return ready > 0;
}

void Receiver::Finish(Slot& slot) {
  slot.host.feed.Commit(slot.delivery.batch());
  slot.host.busy = false;
  unsaved_.push_back(&slot.host);
}

void Receiver::Answered(Slot& slot, const absl::StatusOr<::fleet::HttpResponse>& response,
                        bool& any_taken) {
  if (absl::IsCancelled(response.status())) return;  // we are stopping
  const absl::Time now = parts_.clock.Now();
  if (response.ok()) clock_.Note(*response, now, parts_.clock.SteadyNow());
  Answer answer = ReadAnswer(response, now);
  if (answer.kind != Answer::Kind::kRetry) {
    any_taken = true;
    slot.failures = 0;
    slot.delivery.Apply(answer, known_, now, work_.samples);
    return;
  }
  ++work_.failed_requests;
  work_.retried_samples += slot.delivery.samples();
  ++slot.failures;
  slot.not_before = SteadyAfter(parts_.clock.SteadyNow(), Backoff(slot.failures));
  if (answer.retry_after > absl::ZeroDuration()) {
    retry_at_ = std::max(retry_at_, SteadyAfter(parts_.clock.SteadyNow(), answer.retry_after));
  }
  work_.failure = std::move(answer.words);
}

bool Receiver::InDoubt(absl::Span<Slot* const> senders,
                       absl::Span<const absl::StatusOr<::fleet::HttpResponse>> responses) const {
  bool doubt = false;
  for (size_t i = 0; i < senders.size(); ++i) {
    const Answer answer = ReadAnswer(responses[i], parts_.clock.Now());
    if (answer.kind == Answer::Kind::kTaken) return false;
    doubt = doubt || (answer.kind != Answer::Kind::kRetry &&
                      answer.reason == DropReason::kRefused && senders[i]->delivery.samples() == 1);
  }
  return doubt;
}

/// Sends one request of each slot that can. Returns whether to go on.
bool Receiver::SendSlots(const ::fleet::HttpRequest& head, const std::stop_token& stop) {
  const SteadyTime steady = parts_.clock.SteadyNow();
  std::vector<::fleet::HttpRequest> requests;
  std::vector<Slot*> senders;
  const size_t at_once = failures_ > 0 ? 1 : kRequestsAtOnce;
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (slot->not_before > steady || senders.size() >= at_once) continue;
    std::string body;
    while (body.empty() && !slot->delivery.done()) body = slot->delivery.Body(work_.samples);
    if (body.empty()) {
      Finish(*slot);
      continue;
    }
    requests.push_back(head);
    requests.back().body = SnappyCompress(body);
    work_.sent_bytes += requests.back().body.size();
    senders.push_back(slot.get());
  }
  bool any_taken = false;
  if (!senders.empty()) {
    const auto responses = parts_.post(requests);
    work_.requests += senders.size();
    // Who takes nothing at all refuses no sample for its own sake: all of these are sent again.
    if (InDoubt(senders, responses) && !Ask(head)) return false;
    for (size_t i = 0; i < senders.size(); ++i) Answered(*senders[i], responses[i], any_taken);
  }
  for (Slot* slot : senders) {
    if (slot->delivery.done()) Finish(*slot);
  }
  slots_.erase(std::remove_if(slots_.begin(), slots_.end(),
                              [](const auto& slot) { return slot->delivery.done(); }),
               slots_.end());
  if (any_taken) {
    Succeed();
  } else if (!senders.empty() && !stop.stop_requested()) {
    Fail(work_.failure, absl::ZeroDuration());
  }
  return parts_.clock.SteadyNow() >= retry_at_;
}

void Receiver::NoteFamilies(const Batch& batch) {
  batch.VisitTables([&](const std::shared_ptr<const SeriesTable>& table, int64_t) {
    if (!noted_.insert(table.get()).second) return;
    for (const auto& family : table->families()) {
      if (families_.size() < kFamiliesMax) families_[family->name] = family;
    }
  });
}

/// Type and help are for people who write queries: nothing waits for them, and what a receiver does
/// not take is sent again the next time anyway.
void Receiver::SendMetadata(const ::fleet::HttpRequest& head) {
  const SteadyTime now = parts_.clock.SteadyNow();
  if (now < metadata_at_ || families_.empty() || failures_ > 0) return;
  metadata_at_ = SteadyAfter(now, kMetadataEvery);
  std::string body;
  size_t count = 0;
  const auto send = [&] {
    std::vector<::fleet::HttpRequest> requests = {head};
    requests[0].body = SnappyCompress(body);
    work_.sent_bytes += requests[0].body.size();
    ++work_.requests;
    const auto responses = parts_.post(requests);
    if (ReadAnswer(responses[0], parts_.clock.Now()).kind == Answer::Kind::kRetry) {
      ++work_.failed_requests;
    }
    body.clear();
  };
  for (const auto& [name, family] : families_) {
    PutMetadata(*family, body);
    if (++count % kFamiliesPerRequest == 0) send();
  }
  if (!body.empty()) send();
  families_.clear();
  noted_.clear();
}

void Receiver::Save() {
  std::vector<CursorEntry> changed;
  std::vector<CursorEntry> gone;
  for (Host* host : unsaved_) host->feed.TakeChanges(changed, gone);
  unsaved_.clear();
  if (changed.empty() && gone.empty()) return;
  const absl::Status saved = parts_.cursors.Save(options_.name, changed, gone);
  if (!saved.ok()) {
    log::Error("cannot keep the cursors of remote-write",
               {{"receiver", options_.name}, {"error", saved}});
    for (const CursorEntry& entry : changed) {
      Host& host = HostOf(entry.host);
      host.feed.MarkChanged(entry.id);
      unsaved_.push_back(&host);
    }
  }
}

absl::Duration Receiver::Backoff(int failures) {
  // Half of it is left to chance, so that many senders do not come back at once.
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  const double part = 0.5 + 0.5 * static_cast<double>(random_ >> 40) / (1 << 24);
  return part * std::min(kBackoffMin * (1 << std::min(failures - 1, 16)), kBackoffMax);
}

void Receiver::Fail(std::string words, absl::Duration at_least) {
  ++failures_;
  if (work_.failing_since == absl::InfiniteFuture()) {
    work_.failing_since = parts_.clock.Now();
    log::Warning("remote-write fails", {{"receiver", options_.name}, {"error", words}});
  }
  work_.failure = std::move(words);
  retry_at_ = std::max(
      retry_at_, SteadyAfter(parts_.clock.SteadyNow(), std::max(at_least, Backoff(failures_))));
}

void Receiver::Succeed() {
  if (failures_ > 0) log::Info("remote-write works again", {{"receiver", options_.name}});
  failures_ = 0;
  work_.failing_since = absl::InfiniteFuture();
}

/// Makes counts known; `whole`: what takes a look at every host, too.
void Receiver::Publish(bool whole) {
  if (whole) {
    work_.pending_segments = 0;
    absl::Time oldest = absl::InfiniteFuture();
    for (const auto& [name, host] : hosts_) {
      work_.pending_segments += host->feed.pending_segments();
      oldest = std::min(oldest, host->feed.oldest_pending());
    }
    work_.lag = std::max(parts_.clock.Now() - oldest, absl::ZeroDuration());
  }
  MutexLock lock(mutex_);
  stats_ = work_;
}

void Receiver::Round(const std::stop_token& stop) {
  const SteadyTime next = SteadyAfter(parts_.clock.SteadyNow(), kRoundEvery);
  if (Restore()) {
    Refresh();
    TakeViews();
    absl::StatusOr<::fleet::HttpRequest> head = MakeRequest(options_);
    if (!head.ok()) {
      Fail(std::string(head.status().message()), absl::ZeroDuration());
    } else if (parts_.clock.SteadyNow() >= retry_at_ && ClockAgrees(*head)) {
      while (!stop.stop_requested() && FillSlots()) {
        const bool go_on = SendSlots(*head, stop);
        Save();
        Publish(false);
        // One host's backlog may take hours; what came meanwhile of the others is to be seen.
        if (!go_on || parts_.clock.SteadyNow() >= next) break;
      }
      if (!stop.stop_requested()) SendMetadata(*head);
    }
    Save();
    DropHosts();
  }
  Publish(true);
}

ReceiverStats Receiver::stats() const {
  MutexLock lock(mutex_);
  return stats_;
}

}  // namespace fleet::collector
