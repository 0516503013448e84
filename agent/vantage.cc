#include "agent/vantage.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/probe/look_report.h"
#include "fleet/v1/probe.pb.h"

namespace fleet::agent {
namespace {

/// A plan's probes as they can be asked; what cannot is logged.
std::vector<std::shared_ptr<const probe::Planned>> ReadPlan(const v1::ProbePlan& plan) {
  std::vector<std::shared_ptr<const probe::Planned>> read;
  for (const v1::PlannedProbe& message : plan.probes()) {
    absl::StatusOr<probe::Planned> planned = probe::FromProto(message);
    if (!planned.ok()) {
      log::Warning("a planned probe cannot be asked",
                   {{"token", OneLine(message.token(), 32)}, {"error", planned.status()}});
      continue;
    }
    if (read.size() == probe::kPlannedMax) {
      log::Warning("a plan has too many probes, the rest is left out",
                   {{"probes", plan.probes_size()}, {"limit", probe::kPlannedMax}});
      break;
    }
    read.push_back(std::make_shared<const probe::Planned>(*std::move(planned)));
  }
  return read;
}

/// Whether two definitions ask the same, so that looking need not start anew.
bool Same(const probe::Planned& a, const probe::Planned& b) {
  v1::PlannedProbe left;
  v1::PlannedProbe right;
  probe::ToProto(a, left);
  probe::ToProto(b, right);
  return left.SerializeAsString() == right.SerializeAsString();
}

}  // namespace

Vantage::Vantage(Parts parts) : parts_(std::move(parts)) {}

Vantage::~Vantage() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  {
    MutexLock lock(mutex_);
    lanes_.clear();  // what still ends belongs to nothing
  }
  engine_.reset();
}

void Vantage::SetPlan(size_t collector, const v1::ProbePlan& plan) {
  auto read = ReadPlan(plan);
  MutexLock lock(mutex_);
  if (read.empty() && !plans_.contains(collector)) return;
  plans_[collector] = std::move(read);
  Merge();
  changed_.notify_one();
  if (!thread_.joinable() && !lanes_.empty()) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
}

void Vantage::SetHurry(size_t collector, const v1::ProbeHurry& hurry) {
  MutexLock lock(mutex_);
  std::set<std::string>& tokens = hurries_[collector];
  tokens.clear();
  for (const std::string& token : hurry.tokens()) {
    if (tokens.size() < probe::kPlannedMax && probe::IsToken(token)) tokens.insert(token);
  }
  for (auto& [key, lane] : lanes_) {
    lane.due = std::min(lane.due, SteadyAfter(lane.started, PeriodOf(key, lane)));
  }
  changed_.notify_one();
}

size_t Vantage::lanes() const {
  MutexLock lock(mutex_);
  return lanes_.size();
}

/// Makes the lanes those of all plans. A probe that is asked the same as before keeps its place.
void Vantage::Merge() {
  std::map<Key, Lane> merged;
  const SteadyTime now = parts_.clock.SteadyNow();
  for (const auto& [collector, plan] : plans_) {
    for (const auto& planned : plan) {
      for (const probe::IpFamily family : probe::FamiliesOf(*planned)) {
        const Key key{planned->token, family};
        if (merged.contains(key) || merged.size() >= probe::kPlannedMax) continue;
        const auto old = lanes_.find(key);
        if (old != lanes_.end() && Same(*old->second.planned, *planned)) {
          merged.emplace(key, std::move(old->second));
          continue;
        }
        Lane lane;
        lane.planned = planned;
        lane.generation = ++generation_;
        // A whole plan that arrives at once is spread over the period.
        const double part = std::uniform_real_distribution<double>(0, 1)(random_);
        lane.due = SteadyAfter(now, planned->period * part);
        lane.started = SteadyAfter(lane.due, -planned->period);
        merged.emplace(key, std::move(lane));
      }
    }
  }
  lanes_ = std::move(merged);
}

absl::Duration Vantage::PeriodOf(const Key& key, const Lane& lane) const {
  for (const auto& [collector, tokens] : hurries_) {
    if (tokens.contains(key.token)) return lane.planned->period / 2;
  }
  return lane.planned->period;
}

void Vantage::Run(const std::stop_token& stop) {
  engine_ = parts_.make_engine();
  while (!stop.stop_requested()) {
    struct Due {
      Key key;
      std::shared_ptr<const probe::Planned> planned;
      uint64_t generation;
    };
    std::vector<Due> due;
    {
      MutexLock lock(mutex_);
      const SteadyTime now = parts_.clock.SteadyNow();
      SteadyTime next = SteadyAfter(now, absl::Hours(1));
      for (auto& [key, lane] : lanes_) {
        if (lane.due <= now) {
          // The turn after a pause of the whole machine is one turn, not all that were missed.
          lane.due = std::max(SteadyAfter(lane.due, PeriodOf(key, lane)), now);
          if (!std::exchange(lane.in_flight, true)) {
            lane.started = now;
            due.push_back({key, lane.planned, lane.generation});
          }
        }
        next = std::min(next, lane.due);
      }
      if (due.empty()) {
        const uint64_t seen = generation_;
        parts_.clock.WaitUntil(mutex_, changed_, stop, next,
                               [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                                 if (generation_ != seen) return true;
                                 for (const auto& [key, lane] : lanes_) {
                                   if (lane.due < next) return true;
                                 }
                                 return false;
                               });
      }
    }
    for (const Due& one : due) Start(one.key, one.planned, one.generation);
  }
}

void Vantage::Start(const Key& key, const std::shared_ptr<const probe::Planned>& planned,
                    uint64_t generation) {
  probe::Spec spec = planned->spec;
  spec.family = key.family;
  if (planned->both_families) spec.family_fallback = false;
  spec.guard = parts_.policy.guard();
  const absl::Duration period = planned->period;
  if (std::string refusal = parts_.policy.Refuse(spec); !refusal.empty()) {
    probe::Result refused;
    refused.start = parts_.clock.Now();
    refused.unknown = UnknownKind::kBlind;
    refused.error = std::move(refusal);
    return Finish(key, generation, period, std::move(refused));
  }
  engine_->Start(std::move(spec), [this, key, generation, period](probe::Result result) {
    Finish(key, generation, period, std::move(result));
  });
}

void Vantage::Finish(const Key& key, uint64_t generation, absl::Duration period,
                     probe::Result result) {
  {
    MutexLock lock(mutex_);
    const auto lane = lanes_.find(key);
    if (lane == lanes_.end() || lane->second.generation != generation) return;
    lane->second.in_flight = false;
  }
  parts_.deliver(probe::ToReport({key.token, key.family, std::move(result)}, period));
}

}  // namespace fleet::agent
