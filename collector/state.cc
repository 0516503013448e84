#include "collector/state.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "collector/staleness.h"
#include "common/escape.h"
#include "common/labels.h"
#include "common/segment/status_code.h"

namespace fleet::collector {
namespace {

constexpr size_t kShards = 64;
constexpr double kBurstSeconds = 10;
constexpr size_t kTextBytesMax = 256;  // of a version or an address

struct Connection {
  uint64_t id = 0;
  std::string address;
};

}  // namespace

/// The newest report of one check.
struct CheckEntry {
  std::string name;
  std::shared_ptr<const ReportStatus> status;
  std::shared_ptr<const PublishedLayout> published;
  // As it was reported: what does not fit into the limits is known again and not kept.
  std::weak_ptr<const ReportStatus> reported;
  std::weak_ptr<const Layout> source;
  ItemsSize items;  // of status
  size_t refused_items = 0;
  std::shared_ptr<const double[]> block;
  SteadyTime received;
  absl::Duration interval;
  absl::Duration duration;
  absl::Time last_success = absl::InfinitePast();
  SteadyTime last_success_steady;
};

namespace {

/// The values, if any of them is served.
std::shared_ptr<const double[]> BlockFor(const CheckEntry& entry,
                                         const std::shared_ptr<const double[]>& block) {
  return entry.published != nullptr && !entry.published->order.empty() ? block : nullptr;
}

}  // namespace

struct FleetState::Host {
  explicit Host(std::shared_ptr<const HostFacts> host_facts) : facts(std::move(host_facts)) {}

  const std::shared_ptr<const HostFacts> facts;
  Mutex mutex;
  std::vector<Connection> connections ABSL_GUARDED_BY(mutex);
  std::vector<CheckEntry> checks ABSL_GUARDED_BY(mutex);  // sorted by name
  std::string agent_version ABSL_GUARDED_BY(mutex);
  absl::Duration interval ABSL_GUARDED_BY(mutex);
  SteadyTime last_seen ABSL_GUARDED_BY(mutex);
  absl::Time last_seen_wall ABSL_GUARDED_BY(mutex);
  absl::Duration skew ABSL_GUARDED_BY(mutex);
  SpoolFacts spool ABSL_GUARDED_BY(mutex);
  uint64_t refused_reports ABSL_GUARDED_BY(mutex) = 0;
  double tokens ABSL_GUARDED_BY(mutex) = 0;
  SteadyTime tokens_at ABSL_GUARDED_BY(mutex);

  void Hear(SteadyTime now, absl::Time wall) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    last_seen = now;
    last_seen_wall = wall;
  }
  bool TakeToken(SteadyTime now, double rate) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  CheckEntry* FindOrAdd(absl::string_view name, size_t checks_max)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::shared_ptr<const PublishedLayout> Fit(std::shared_ptr<const PublishedLayout> published,
                                             const CheckEntry& entry, const StateLimits& limits)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void SetStatus(CheckEntry& entry, const std::shared_ptr<const ReportStatus>& status,
                 const ItemLimits& limits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
};

struct FleetState::Shard {
  Mutex mutex;
  absl::flat_hash_map<std::string, std::shared_ptr<Host>> hosts ABSL_GUARDED_BY(mutex);
};

bool FleetState::Host::TakeToken(SteadyTime now, double rate) {
  tokens = std::min(rate * kBurstSeconds, tokens + rate * absl::ToDoubleSeconds(now - tokens_at));
  tokens_at = now;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

CheckEntry* FleetState::Host::FindOrAdd(absl::string_view name, size_t checks_max) {
  const auto place = std::lower_bound(
      checks.begin(), checks.end(), name,
      [](const CheckEntry& entry, absl::string_view wanted) { return entry.name < wanted; });
  if (place != checks.end() && place->name == name) return &*place;
  if (checks.size() >= checks_max) return nullptr;
  CheckEntry entry;
  entry.name = std::string(name);
  return &*checks.insert(place, std::move(entry));
}

std::shared_ptr<const PublishedLayout> FleetState::Host::Fit(
    std::shared_ptr<const PublishedLayout> published, const CheckEntry& entry,
    const StateLimits& limits) {
  std::vector<const PublishedLayout*> others;
  for (const CheckEntry& other : checks) {
    if (&other != &entry && other.published != nullptr) others.push_back(other.published.get());
  }
  return FitToHost(std::move(published), others,
                   {limits.series_per_host, limits.label_bytes, limits.definition_bytes});
}

void FleetState::Host::SetStatus(CheckEntry& entry,
                                 const std::shared_ptr<const ReportStatus>& status,
                                 const ItemLimits& limits) {
  if (entry.status != nullptr && SameObject(entry.reported, status)) return;
  ItemsSize others;
  for (const CheckEntry& other : checks) {
    if (&other != &entry) others += other.items;
  }
  entry.reported = status;
  entry.status = FitItems(status, others, limits);
  entry.items = SizeOfItems(*entry.status);
  entry.refused_items = status->items.size() - entry.items.items;
}

FleetState::FleetState(Clock& clock, StateOptions options)
    : clock_(clock),
      options_(std::move(options)),
      started_(clock.SteadyNow()),
      shards_(std::make_unique<Shard[]>(kShards)) {}
FleetState::~FleetState() = default;

FleetState::Shard& FleetState::ShardOf(absl::string_view host) const {
  return shards_[absl::HashOf(host) % kShards];
}

std::shared_ptr<FleetState::Host> FleetState::Find(absl::string_view host) const {
  Shard& shard = ShardOf(host);
  MutexLock lock(shard.mutex);
  const auto found = shard.hosts.find(host);
  return found == shard.hosts.end() ? nullptr : found->second;
}

bool FleetState::Knows(absl::string_view host) const { return Find(host) != nullptr; }

void FleetState::Changed() {
  MutexLock lock(mutex_);
  ++version_;
  changed_.notify_all();
}

/// Null when the limit of hosts is reached.
std::shared_ptr<FleetState::Host> FleetState::FindOrAdd(absl::string_view host_name) {
  if (std::shared_ptr<Host> host = Find(host_name)) return host;
  auto facts = std::make_shared<HostFacts>();
  facts->name = std::string(host_name);
  AppendLabels({{"instance", host_name}, {"job", options_.job}}, facts->tail);
  facts->our_tail = facts->tail;
  facts->tail.append("} ");
  AppendLabels({{"host", host_name}}, facts->our_tail.append(","));
  facts->our_tail.append("} ");
  Shard& shard = ShardOf(host_name);
  MutexLock lock(shard.mutex);
  const auto found = shard.hosts.find(host_name);
  if (found != shard.hosts.end()) return found->second;
  MutexLock count_lock(mutex_);
  if (hosts_ >= options_.limits.hosts) return nullptr;
  ++hosts_;
  auto host = std::make_shared<Host>(std::move(facts));
  shard.hosts.emplace(host_name, host);
  return host;
}

absl::StatusOr<uint64_t> FleetState::Connect(absl::string_view host_name, const AgentHello& hello,
                                             absl::string_view address) {
  const std::shared_ptr<Host> host = FindOrAdd(host_name);
  if (host == nullptr) {
    MutexLock lock(mutex_);
    ++hosts_refused_;
    return absl::ResourceExhaustedError(
        absl::StrCat("this collector serves at most ", options_.limits.hosts, " hosts"));
  }
  uint64_t id = 0;
  {
    MutexLock lock(mutex_);
    id = next_connection_++;
  }
  const SteadyTime now = clock_.SteadyNow();
  {
    MutexLock lock(host->mutex);
    host->connections.push_back({id, std::string(address.substr(0, kTextBytesMax))});
    host->agent_version = OneLine(hello.agent_version, kTextBytesMax);
    host->interval = hello.interval;
    host->tokens = std::max(host->tokens, options_.limits.reports_per_second);
    host->tokens_at = now;
    host->Hear(now, clock_.Now());
  }
  Changed();
  return id;
}

void FleetState::Disconnect(absl::string_view host_name, uint64_t connection) {
  const std::shared_ptr<Host> host = Find(host_name);
  if (host == nullptr) return;
  {
    MutexLock lock(host->mutex);
    auto& list = host->connections;
    list.erase(std::remove_if(list.begin(), list.end(),
                              [connection](const Connection& c) { return c.id == connection; }),
               list.end());
  }
  Changed();
}

absl::Status FleetState::Apply(absl::string_view host_name, const DecodedReport& report,
                               absl::Time sent, const SpoolFacts& spool) {
  const std::shared_ptr<Host> host = Find(host_name);
  if (host == nullptr) return absl::NotFoundError("no stream of this host was opened");
  const SteadyTime now = clock_.SteadyNow();
  const absl::Time wall = clock_.Now();
  bool changed = false;
  std::shared_ptr<const ReportStatus> before;
  std::shared_ptr<const ReportStatus> after;
  {
    MutexLock lock(host->mutex);
    const bool was_up = now - host->last_seen <= FreshFor(host->interval);
    host->Hear(now, wall);
    if (sent != absl::InfinitePast()) host->skew = sent - wall;
    host->spool = spool;
    if (!host->TakeToken(now, options_.limits.reports_per_second)) {
      ++host->refused_reports;
      return absl::ResourceExhaustedError("more reports per second than the limit");
    }
    CheckEntry* entry = host->FindOrAdd(report.check, options_.limits.checks_per_host);
    if (entry == nullptr) {
      ++host->refused_reports;
      return absl::ResourceExhaustedError("more checks than the limit");
    }
    Publish(*host, *entry, report.layout);
    before = entry->status;
    host->SetStatus(*entry, report.status, options_.limits.items);
    after = entry->status;
    changed =
        !was_up || before == nullptr || (before != after && !segment::SameStatus(*before, *after));
    entry->block = BlockFor(*entry, report.block);
    entry->received = now;
    entry->interval = report.interval;
    entry->duration = report.duration;
    if (report.success()) {
      entry->last_success = wall;
      entry->last_success_steady = now;
    }
  }
  if (changed) Changed();
  if (observer_ && before != after) observer_(host_name, report.check, before.get(), *after);
  return absl::OkStatus();
}

void FleetState::Publish(Host& host, CheckEntry& entry, const std::shared_ptr<const Layout>& layout)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(host.mutex) {
  if (SameObject(entry.source, layout)) return;
  entry.source = layout;
  entry.published =
      layout->size() == 0 ? nullptr : host.Fit(families_.Publish(layout), entry, options_.limits);
}

bool FleetState::Restore(absl::string_view host_name, const std::vector<RestoredCheck>& checks) {
  if (checks.empty() || Find(host_name) != nullptr) return false;
  const std::shared_ptr<Host> host = FindOrAdd(host_name);
  if (host == nullptr) return false;
  const SteadyTime now = clock_.SteadyNow();
  const absl::Time wall = clock_.Now();
  // Wall time may have been set since; nothing is younger than now.
  const auto steady = [&](absl::Time when) {
    return SteadyAfter(now, -std::max(wall - when, absl::ZeroDuration()));
  };
  {
    MutexLock lock(host->mutex);
    if (!host->checks.empty()) return false;  // its agent was faster
    absl::Time seen = absl::InfinitePast();
    absl::Duration interval = absl::Hours(24);
    for (const RestoredCheck& check : checks) {
      seen = std::max(seen, std::min(check.seen, wall));
      interval = std::min(interval, check.interval);
      CheckEntry* entry = host->FindOrAdd(check.name, options_.limits.checks_per_host);
      if (entry == nullptr) break;
      host->SetStatus(*entry, check.status, options_.limits.items);
      Publish(*host, *entry, check.layout);
      entry->block = BlockFor(*entry, check.block);
      entry->received = steady(check.seen);
      entry->interval = check.interval;
      entry->duration = check.duration;
      if (check.last_success != absl::InfinitePast()) {
        entry->last_success = check.last_success;
        entry->last_success_steady = steady(check.last_success);
      }
    }
    if (host->connections.empty()) {
      host->interval = interval;
      host->Hear(steady(seen), seen);
    }
  }
  Changed();
  return true;
}

StatusMemory FleetState::Statuses(absl::string_view host_name) const {
  StatusMemory statuses;
  const std::shared_ptr<Host> host = Find(host_name);
  if (host == nullptr) return statuses;
  MutexLock lock(host->mutex);
  for (const CheckEntry& entry : host->checks) statuses[entry.name] = entry.status;
  return statuses;
}

std::vector<HostPulse> FleetState::Pulses() const {
  std::vector<std::shared_ptr<Host>> hosts;
  for (size_t i = 0; i < kShards; ++i) {
    MutexLock lock(shards_[i].mutex);
    for (const auto& [name, host] : shards_[i].hosts) hosts.push_back(host);
  }
  std::vector<HostPulse> pulses;
  pulses.reserve(hosts.size());
  const SteadyTime now = clock_.SteadyNow();
  for (const std::shared_ptr<Host>& host : hosts) {
    HostPulse& pulse = pulses.emplace_back();
    pulse.name = host->facts->name;
    MutexLock lock(host->mutex);
    pulse.up = now - host->last_seen <= FreshFor(host->interval);
    pulse.last_seen = host->last_seen_wall;
    pulse.limited = host->refused_reports > 0;
    for (const CheckEntry& entry : host->checks) {
      pulse.limited |= entry.refused_items > 0;
      if (entry.published == nullptr) continue;
      pulse.limited |= entry.published->refused[static_cast<size_t>(Refusal::kLimit)] > 0;
    }
  }
  return pulses;
}

bool FleetState::Forget(absl::string_view host) {
  {
    Shard& shard = ShardOf(host);
    MutexLock lock(shard.mutex);
    if (shard.hosts.erase(host) == 0) return false;
    MutexLock count_lock(mutex_);
    --hosts_;
  }
  Changed();
  return true;
}

HostView FleetState::View(Host& host, SteadyTime now) const {
  HostView view;
  view.facts = host.facts;
  MutexLock lock(host.mutex);
  view.age = now - host.last_seen;
  view.last_seen = host.last_seen_wall;
  view.up = view.age <= FreshFor(host.interval);
  view.skew = host.skew;
  view.agent_version = host.agent_version;
  if (!host.connections.empty()) view.address = host.connections.back().address;
  view.spool = host.spool;
  view.refused_reports = host.refused_reports;
  view.checks.reserve(host.checks.size());
  for (const CheckEntry& entry : host.checks) {
    CheckView check;
    check.name = entry.name;
    check.status = entry.status;
    check.age = now - entry.received;
    check.interval = entry.interval;
    check.duration = entry.duration;
    check.stale = !view.up || check.age > FreshFor(entry.interval);
    if (!check.stale) view.refused_items += entry.refused_items;
    check.last_success = entry.last_success;
    if (entry.last_success != absl::InfinitePast()) {
      check.last_success_age = now - entry.last_success_steady;
    }
    if (!check.stale && entry.published != nullptr) {
      check.published = entry.published;
      check.block = entry.block;
      view.series += entry.published->order.size();
      for (size_t i = 0; i < kRefusals; ++i) {
        view.refused_series[i] += entry.published->refused[i];
      }
    }
    view.checks.push_back(std::move(check));
  }
  return view;
}

FleetView FleetState::SnapshotWithoutCauses(absl::string_view only) const {
  std::vector<std::shared_ptr<Host>> hosts;
  if (!only.empty()) {
    if (std::shared_ptr<Host> host = Find(only)) hosts.push_back(std::move(host));
  } else {
    for (size_t i = 0; i < kShards; ++i) {
      MutexLock lock(shards_[i].mutex);
      for (const auto& [name, host] : shards_[i].hosts) hosts.push_back(host);
    }
    std::sort(hosts.begin(), hosts.end(),
              [](const auto& a, const auto& b) { return a->facts->name < b->facts->name; });
  }
  FleetView view;
  view.hosts.reserve(hosts.size());
  const SteadyTime now = clock_.SteadyNow();
  for (const std::shared_ptr<Host>& host : hosts) view.hosts.push_back(View(*host, now));
  MutexLock lock(mutex_);
  view.hosts_refused = hosts_refused_;
  return view;
}

FleetView FleetState::Snapshot(absl::string_view only) const {
  FleetView view = SnapshotWithoutCauses(only);
  const bool fails = std::any_of(view.hosts.begin(), view.hosts.end(), [](const HostView& host) {
    return HostVerdict(host) != Verdict::kOk;
  });
  // The cause of one host's trouble may be another host.
  if (fails) ResolveCauses(only.empty() ? view : SnapshotWithoutCauses({}), options_, view);
  return view;
}

v1::StatusReply FleetState::Status(const v1::StatusRequest& request) const {
  // All of them even for one: its cause may be another host.
  v1::StatusReply reply = MakeStatus(SnapshotWithoutCauses({}), options_, request);
  reply.set_uptime_seconds(absl::ToDoubleSeconds(clock_.SteadyNow() - started_));
  std::vector<std::string> notes;
  {
    MutexLock lock(notes_mutex_);
    if (notes_ != nullptr) notes_(notes);
  }
  for (std::string& note : notes) reply.add_notes(std::move(note));
  return reply;
}

void FleetState::SetNoteSource(NoteSource source) {
  MutexLock lock(notes_mutex_);
  notes_ = std::move(source);
}

uint64_t FleetState::version() const {
  MutexLock lock(mutex_);
  return version_;
}

uint64_t FleetState::WaitForChange(uint64_t seen, SteadyTime deadline,
                                   const std::stop_token& stop) {
  MutexLock lock(mutex_);
  clock_.WaitUntil(mutex_, changed_, stop, deadline,
                   [this, seen]()
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return version_ != seen; });
  return version_;
}

}  // namespace fleet::collector
