#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>

#include "common/probe/probe.h"
#include "common/probe/run.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

class LoopEngine final : public Engine {
 public:
  LoopEngine()
      : resolver_(Resolver::Create(loop_)),
        curl_(loop_),
        context_{loop_, *resolver_, roots_, curl_},
        thread_([this] { loop_.Run(); }) {}

  ~LoopEngine() override {
    loop_.Post([this] {
      ending_ = true;
      while (!queue_.empty()) {
        Result result;
        result.start = absl::Now();
        result.unknown = UnknownKind::kError;
        result.error = std::string(kEnding);
        const Done done = std::move(queue_.front().done);
        queue_.pop_front();
        done(std::move(result));
      }
      while (!runs_.empty()) runs_.begin()->second.run->Abandon(kEnding);
    });
    loop_.Stop();
    thread_.join();
  }

  void Start(Spec spec, Done done) override {
    ++waiting_;
    auto asked = std::make_shared<Asked>(Asked{std::move(spec), std::move(done)});
    loop_.Post([this, asked] {
      queue_.push_back(std::move(*asked));
      Admit();
    });
  }

  size_t waiting() const override { return waiting_; }
  size_t running() const override { return running_; }

 private:
  static constexpr absl::string_view kEnding = "the probes are being stopped";

  struct Asked {
    Spec spec;
    Done done;
  };
  struct Running {
    std::unique_ptr<Run> run;
    Done done;
  };

  /// Lets those begin that there is room for.
  void Admit() {
    while (!ending_ && !queue_.empty() && runs_.size() < kConcurrentMax) {
      Asked asked = std::move(queue_.front());
      queue_.pop_front();
      --waiting_;
      ++running_;
      const uint64_t id = ++runs_made_;
      Running& running = runs_[id];
      running.done = std::move(asked.done);
      running.run =
          Make(std::move(asked.spec), [this, id](Result result) { Finish(id, std::move(result)); });
      running.run->Begin();  // may be its end
    }
  }

  std::unique_ptr<Run> Make(Spec spec, Run::Finished finished) {
    switch (spec.kind) {
      case Kind::kTcp:
      case Kind::kTls:
        return MakeTcpRun(context_, std::move(spec), std::move(finished));
      case Kind::kIcmp:
        return MakeIcmpRun(context_, std::move(spec), std::move(finished));
      case Kind::kDns:
        return MakeDnsRun(context_, std::move(spec), std::move(finished));
      case Kind::kHttp:
      case Kind::kWebSocket:
        break;
    }
    return MakeHttpRun(context_, std::move(spec), std::move(finished));
  }

  void Finish(uint64_t id, Result result) {
    const auto found = runs_.find(id);
    FLEET_ASSERT(found != runs_.end());
    const Done done = std::move(found->second.done);
    // It is still on the stack.
    loop_.Later([run = std::shared_ptr<Run>(std::move(found->second.run))] {});
    runs_.erase(found);
    --running_;
    done(std::move(result));
    if (!ending_ && !queue_.empty()) loop_.Later([this] { Admit(); });
  }

  Loop loop_;
  const std::unique_ptr<Resolver> resolver_;
  TlsRoots roots_;
  CurlDriver curl_;
  const Context context_;
  bool ending_ = false;
  uint64_t runs_made_ = 0;
  std::deque<Asked> queue_;
  std::unordered_map<uint64_t, Running> runs_;
  std::atomic<size_t> waiting_ = 0;
  std::atomic<size_t> running_ = 0;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Engine> Engine::Create() { return std::make_unique<LoopEngine>(); }

}  // namespace fleet::probe
