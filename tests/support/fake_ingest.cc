#include "tests/support/fake_ingest.h"

#include <grpcpp/grpcpp.h>

#include <deque>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::test {

class FakeIngest::Service final : public v1::Ingest::CallbackService {
 public:
  explicit Service(FakeIngest& owner) : owner_(owner) {}
  grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* Upload(
      grpc::CallbackServerContext* context) override;

 private:
  FakeIngest& owner_;
};

class FakeIngest::Reactor final
    : public grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage> {
 public:
  explicit Reactor(FakeIngest& owner) : owner_(owner) { StartRead(&received_); }

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::OK);
    if (received_.has_hello()) {
      const absl::Status refusal = TakeHello(received_.hello());
      if (!refusal.ok()) {
        return End({static_cast<grpc::StatusCode>(refusal.code()), std::string(refusal.message())});
      }
    } else {
      TakeRecords(received_.records());
    }
    StartRead(&received_);
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) waiting_.clear();
    Continue();
  }

  void OnDone() override { delete this; }

 private:
  absl::Status TakeHello(const v1::Hello& hello) {
    lane_ = hello.lane();
    v1::CollectorMessage message;
    {
      MutexLock lock(owner_.mutex_);
      owner_.hellos_.push_back(hello);
      if (!owner_.refusal_.ok()) return owner_.refusal_;
      owner_.unacked_[lane_] = 0;
      message.mutable_welcome()->set_host(hello.host());
      for (const v1::SpoolSegment& segment : hello.spool()) {
        const auto kept = owner_.journal_.find({segment.epoch(), segment.segment()});
        if (!owner_.remembering_ || kept == owner_.journal_.end()) continue;
        v1::Ack& safe = *message.mutable_welcome()->add_safe();
        safe.set_epoch(segment.epoch());
        safe.set_segment(segment.segment());
        safe.set_next_index(kept->second.next_index());
      }
    }
    Send(std::move(message));
    return absl::OkStatus();
  }

  void TakeRecords(const v1::Records& records) {
    const SegmentId id{records.epoch(), records.segment()};
    if (id != segment_ || records.first_index() == 0) decoder_ = SegmentDecoder();
    segment_ = id;
    Arrival arrival{lane_, id, records.first_index(), records.data().size(), records.last(),
                    {},    {}};
    if (records.has_segment_age_seconds()) arrival.age_seconds = records.segment_age_seconds();
    std::vector<std::string> faults;
    if (records.first_index() != decoder_.next_index()) faults.emplace_back("a gap");
    const absl::Status status = decoder_.Feed(records.data(), [&](const DecodedReport& report) {
      arrival.reports.push_back(absl::StrCat(report.check, " ", report.values()[0]));
      return absl::OkStatus();
    });
    if (!status.ok()) faults.emplace_back(status.message());
    bool acking = false;
    {
      MutexLock lock(owner_.mutex_);
      Kept& kept = owner_.journal_[id];
      for (size_t i = 0; i < arrival.reports.size(); ++i) {
        const auto [at, added] =
            kept.reports.emplace(records.first_index() + i, arrival.reports[i]);
        if (!added && at->second != arrival.reports[i]) faults.push_back("two under one index");
      }
      owner_.faults_.insert(owner_.faults_.end(), faults.begin(), faults.end());
      owner_.arrivals_.push_back(std::move(arrival));
      acking = owner_.acking_[lane_];
      owner_.unacked_[lane_] = acking ? 0 : owner_.unacked_[lane_] + records.data().size();
    }
    v1::Ack ack;
    ack.set_epoch(id.epoch);
    ack.set_segment(id.number);
    ack.set_next_index(decoder_.next_index());
    withheld_.push_back(std::move(ack));
    if (!acking) return;
    for (v1::Ack& one : withheld_) {
      v1::CollectorMessage message;
      *message.mutable_ack() = std::move(one);
      Send(std::move(message));
    }
    withheld_.clear();
  }

  void Send(v1::CollectorMessage message) {
    MutexLock lock(mutex_);
    waiting_.push_back(std::move(message));
    Continue();
  }
  void End(const grpc::Status& status) {
    MutexLock lock(mutex_);
    ending_ = true;
    end_ = status;
    Continue();
  }
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (ending_ && waiting_.empty()) {
      finished_ = true;
      Finish(end_);
      return;
    }
    if (waiting_.empty()) return;
    sent_ = std::move(waiting_.front());
    waiting_.pop_front();
    writing_ = true;
    StartWrite(&sent_);
  }

  FakeIngest& owner_;
  v1::Hello::Lane lane_ = v1::Hello::LANE_LIVE;
  v1::AgentMessage received_;
  SegmentDecoder decoder_;
  SegmentId segment_{~uint64_t{0}, 0};
  std::vector<v1::Ack> withheld_;

  Mutex mutex_;
  std::deque<v1::CollectorMessage> waiting_ ABSL_GUARDED_BY(mutex_);
  v1::CollectorMessage sent_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status end_ ABSL_GUARDED_BY(mutex_);
};

grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* FakeIngest::Service::Upload(
    grpc::CallbackServerContext*) {
  return new Reactor(owner_);
}

uint64_t FakeIngest::Kept::next_index() const {
  uint64_t next = 0;
  while (reports.count(next) > 0) ++next;
  return next;
}

FakeIngest::FakeIngest(uint16_t port) : service_(std::make_unique<Service>(*this)), port_(port) {
  Revive();
}

FakeIngest::~FakeIngest() { Die(); }

std::string FakeIngest::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeIngest::Revive() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  FLEET_ASSERT(server_ != nullptr && port > 0);
  port_ = static_cast<uint16_t>(port);
}

void FakeIngest::Die() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeIngest::SetAcking(v1::Hello::Lane lane, bool acking) {
  MutexLock lock(mutex_);
  acking_[lane] = acking;
}
void FakeIngest::SetRefusal(absl::Status refusal) {
  MutexLock lock(mutex_);
  refusal_ = std::move(refusal);
}
void FakeIngest::SetRemembering(bool remembering) {
  MutexLock lock(mutex_);
  remembering_ = remembering;
}
std::vector<v1::Hello> FakeIngest::hellos() const {
  MutexLock lock(mutex_);
  return hellos_;
}
std::vector<FakeIngest::Arrival> FakeIngest::arrivals() const {
  MutexLock lock(mutex_);
  return arrivals_;
}
std::vector<std::string> FakeIngest::journal() const {
  MutexLock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [id, kept] : journal_) {
    for (const auto& [index, report] : kept.reports) all.push_back(report);
  }
  return all;
}
std::vector<std::string> FakeIngest::faults() const {
  MutexLock lock(mutex_);
  return faults_;
}
uint64_t FakeIngest::unacked_bytes(v1::Hello::Lane lane) const {
  MutexLock lock(mutex_);
  return unacked_[lane];
}

}  // namespace fleet::test
