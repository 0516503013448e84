#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collector/identity.h"
#include "collector/probes/probes.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "fleet/v1/fleet.grpc.pb.h"

namespace fleet::collector {

/// The state of the fleet for fleetctl. The first reply is made at once by the thread that took the
/// call, all later ones by one thread for all watchers.
class FleetService final : public v1::Fleet::CallbackService {
 public:
  static constexpr absl::Duration kReplyEvery = absl::Milliseconds(100);  // at most so often
  static constexpr absl::Duration kReplyAtLeastEvery = absl::Seconds(5);

  /// Adds what else is to be said below the status: limits that were reached.
  using Notes = std::function<std::vector<std::string>()>;

  /// Everything given must outlive it.
  FleetService(FleetState& state, SelfMetrics& metrics, Clock& clock, Gate& gate, Notes notes);
  ~FleetService() override;

  /// Its probes, which must outlive it, and how they are added to the status of the whole fleet.
  /// Before traffic.
  void SetProbes(collector::Probes& probes, std::function<void(v1::StatusReply&)> add);

  grpc::ServerWriteReactor<v1::StatusReply>* Status(grpc::CallbackServerContext* context,
                                                    const v1::StatusRequest* request) override;

  grpc::ServerUnaryReactor* Probes(grpc::CallbackServerContext* context,
                                   const v1::ProbesRequest* request,
                                   v1::ProbesReply* reply) override;
  grpc::ServerUnaryReactor* Downtimes(grpc::CallbackServerContext* context,
                                      const v1::DowntimesRequest* request,
                                      v1::DowntimesReply* reply) override;

  /// Ends every watch and admits no more.
  void Drain();
  size_t watchers() const;

 private:
  class Reactor;

  v1::StatusReply Reply(const v1::StatusRequest& request) const;
  absl::Status FillProbes(const v1::ProbesRequest& request, v1::ProbesReply& reply) const;
  absl::Status FillDowntimes(const v1::DowntimesRequest& request, v1::DowntimesReply& reply) const;
  /// Admits a watcher; false while draining.
  bool Enter(Reactor* reactor);
  void Leave(Reactor* reactor);
  void Watch(const std::stop_token& stop);
  /// Gives every watcher the newest reply. Returns whether one was still busy with an older.
  bool Deliver();

  FleetState& state_;
  SelfMetrics& metrics_;
  Clock& clock_;
  Gate& gate_;
  const Notes notes_;
  collector::Probes* probes_ = nullptr;  // null: there are none
  std::function<void(v1::StatusReply&)> add_probes_;
  mutable Mutex mutex_;
  std::list<Reactor*> watchers_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  Mutex pause_mutex_;
  std::condition_variable_any pause_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
