#include "collector/probes/vantages.h"

#include <utility>

#include "common/escape.h"
#include "common/log.h"
#include "fleet/v1/ingest.pb.h"

namespace fleet::collector {
namespace {

v1::ProbePlan PlanOf(const std::vector<probe::Planned>& probes) {
  v1::ProbePlan plan;
  for (const probe::Planned& planned : probes) {
    if (plan.probes_size() == static_cast<int>(probe::kPlannedMax)) break;
    probe::ToProto(planned, *plan.add_probes());
  }
  return plan;
}

}  // namespace

Vantages::~Vantages() { Stop(); }

void Vantages::Start(PlanSource& source) {
  MutexLock lock(source_mutex_);
  source_ = &source;
  thread_ = std::jthread([this, &source](const std::stop_token& stop) { Run(source, stop); });
}

void Vantages::Stop() {
  thread_ = {};
  MutexLock lock(source_mutex_);
  source_ = nullptr;
}

void Vantages::Changed() {
  MutexLock lock(mutex_);
  changed_ = true;
  wake_.notify_one();
}

void Vantages::Forget(const std::string& host) {
  MutexLock lock(mutex_);
  agents_.erase(host);
}

std::vector<Vantage> Vantages::List() const {
  std::vector<Vantage> list;
  MutexLock lock(mutex_);
  for (const auto& [host, agent] : agents_) list.push_back({host, agent.id != 0, agent.address});
  return list;
}

void Vantages::Joined(const std::string& host, uint64_t id, const std::string& address,
                      std::shared_ptr<IngestClient> client) {
  MutexLock lock(mutex_);
  agents_[host] = {id, address, std::move(client), "", ""};
  changed_ = true;
  wake_.notify_one();
}

void Vantages::Left(const std::string& host, uint64_t id) {
  MutexLock lock(mutex_);
  const auto agent = agents_.find(host);
  if (agent == agents_.end() || agent->second.id != id) return;
  agent->second.id = 0;
  agent->second.client.reset();
}

void Vantages::Look(const std::string& host, const DecodedReport& report, absl::Duration offset) {
  absl::StatusOr<probe::Look> look = probe::FromReport(ToReport(report));
  if (!look.ok()) {
    if (dropped_.fetch_add(1) == 0) {
      log::Warning(
          "what a vantage saw cannot be read",
          {{"host", host}, {"check", OneLine(report.check, 64)}, {"error", look.status()}});
    }
    return;
  }
  look->result.start += offset;
  const absl::Time now = clock_.Now();
  if (look->result.start > now) look->result.start = now;
  if (now - look->result.start > kLatenessMax) {
    dropped_.fetch_add(1);
    return;
  }
  MutexLock lock(source_mutex_);
  if (source_ != nullptr) source_->TakeLook(host, *std::move(look));
}

void Vantages::Run(PlanSource& source, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      clock_.WaitUntil(mutex_, wake_, stop, SteadyTime::max(),
                       [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_; });
      changed_ = false;
    }
    if (!stop.stop_requested()) Refresh(source);
  }
}

/// Sends each vantage what is new to it. The source is asked without our lock.
void Vantages::Refresh(PlanSource& source) {
  v1::CollectorMessage hurry;
  for (const std::string& token : source.Hurried()) hurry.mutable_hurry()->add_tokens(token);
  hurry.mutable_hurry();
  const std::string hurry_text = hurry.SerializeAsString();
  std::vector<std::string> hosts;
  {
    MutexLock lock(mutex_);
    for (const auto& [host, agent] : agents_) {
      if (agent.id != 0) hosts.push_back(host);
    }
  }
  for (const std::string& host : hosts) {
    v1::CollectorMessage plan;
    *plan.mutable_plan() = PlanOf(source.PlanFor(host));
    const std::string plan_text = plan.SerializeAsString();
    MutexLock lock(mutex_);
    const auto found = agents_.find(host);
    if (found == agents_.end() || found->second.client == nullptr) continue;
    Agent& agent = found->second;
    if (std::exchange(agent.plan, plan_text) != plan_text) agent.client->Tell(plan);
    if (plan.plan().probes().empty()) continue;
    if (std::exchange(agent.hurry, hurry_text) != hurry_text) agent.client->Tell(hurry);
  }
}

}  // namespace fleet::collector
