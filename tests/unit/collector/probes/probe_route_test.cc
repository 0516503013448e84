#include "collector/probes/probe_route.h"

#include "tests/support/fake_clock.h"
#include "tests/support/fake_probes.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FakeProbes;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Keeps what it is asked.
class KeepingEngine final : public probe::Engine {
 public:
  void Start(probe::Spec spec, Done done) override {
    specs.push_back(std::move(spec));
    waiting_.push_back(std::move(done));
    if (!held) Release();
  }
  void Release() {
    for (Done& done : std::exchange(waiting_, {})) done(result);
  }
  size_t waiting() const override { return 0; }
  size_t running() const override { return waiting_.size(); }

  std::vector<probe::Spec> specs;
  probe::Result result;
  bool held = false;

 private:
  std::vector<Done> waiting_;
};

class ProbeRouteTest : public ::testing::Test {
 protected:
  ProbeRouteTest() {
    ProbeView& view = probes_.Add("1kae", "https://chitter.xyz/");
    FakeProbes::Definition(view).spec.target = "https://chitter.xyz/";
    FakeProbes::Definition(view).from_config = true;
    options_.guard = probe::RefusePrivateAddress;
  }

  HttpResponse Get(std::vector<std::pair<std::string, std::string>> query,
                   const std::string& timeout = "") {
    if (route_ == nullptr) route_ = std::make_unique<ProbeRoute>(options_, &probes_, engine_);
    HttpRequest request;
    request.path = {"probe"};
    request.query = std::move(query);
    if (!timeout.empty()) request.headers = {{"X-Prometheus-Scrape-Timeout-Seconds", timeout}};
    HttpResponse response = route_->routes()[0].answer(request);
    if (!response.later) return response;
    HttpResponse made;
    made.status = 0;  // not yet
    response.later([&made](HttpResponse answer) { made = std::move(answer); });
    return made;
  }

  FakeProbes probes_;
  KeepingEngine engine_;
  ProbeRouteOptions options_;
  std::unique_ptr<ProbeRoute> route_;
};

TEST_F(ProbeRouteTest, AsksConfiguredTargets) {
  const HttpResponse response = Get({{"target", "https://chitter.xyz"}});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  ASSERT_EQ(engine_.specs.size(), 1U);
  EXPECT_EQ(engine_.specs[0].target, "https://chitter.xyz");
  EXPECT_EQ(engine_.specs[0].http.method, "GET");
  EXPECT_EQ(engine_.specs[0].guard, nullptr);
  EXPECT_EQ(engine_.specs[0].timeout, ProbeRoute::kTimeoutMax);
}

TEST_F(ProbeRouteTest, RefusesOthersUnlessAnyTargetWillDo) {
  EXPECT_EQ(Get({{"target", "http://169.254.169.254/"}}).status, 403);
  EXPECT_EQ(Get({{"target", "chitter.xyz:22"}, {"module", "ssh_banner"}}).status, 403);
  EXPECT_TRUE(engine_.specs.empty());
  route_.reset();
  options_.any_target = true;
  EXPECT_EQ(Get({{"target", "example.test"}}).status, 200);
  ASSERT_EQ(engine_.specs.size(), 1U);
  EXPECT_EQ(engine_.specs[0].target, "http://example.test");
  ASSERT_NE(engine_.specs[0].guard, nullptr);
  EXPECT_NE(engine_.specs[0].guard("127.0.0.1", 80), "");
}

TEST_F(ProbeRouteTest, AsksAsACheckDoes) {
  ProbeCheck& closed = FakeProbes::Definition(probes_.Add("port", "tcp://192.0.2.7:5432"));
  closed.spec.kind = probe::Kind::kTcp;
  closed.spec.target = "192.0.2.7:5432";
  closed.spec.timeout = absl::Seconds(7);
  closed.from_config = true;
  FakeProbes::Definition(probes_.Add("beat", "")).type = "pulse";
  EXPECT_EQ(Get({{"check", "port"}, {"target", "tcp://192.0.2.7:5432"}, {"module", "x"}}).status,
            200);
  ASSERT_EQ(engine_.specs.size(), 1U);
  EXPECT_EQ(engine_.specs[0].kind, probe::Kind::kTcp);
  EXPECT_EQ(engine_.specs[0].target, "192.0.2.7:5432");
  EXPECT_EQ(engine_.specs[0].timeout, absl::Seconds(7));
  EXPECT_EQ(Get({{"check", "port"}}, "3").status, 200);
  EXPECT_EQ(engine_.specs[1].timeout, absl::Milliseconds(2500));
  for (const auto& [check, target, why] :
       {std::tuple{"port", "tcp://192.0.2.7:6379", "The target of the check \"port\" is"},
        {"nobody", "", "Unknown check \"nobody\""},
        {"beat", "", "it is a pulse"}}) {
    const HttpResponse refused = Get({{"check", check}, {"target", target}});
    EXPECT_EQ(refused.status, 400) << check;
    EXPECT_THAT(refused.body, HasSubstr(why));
  }
}

TEST_F(ProbeRouteTest, GuardsProbesThatSomebodyMadeThroughTheApi) {
  FakeProbes::Definition(probes_.views[0]).from_config = false;
  EXPECT_EQ(Get({{"target", "https://chitter.xyz/"}}).status, 200);
  ASSERT_NE(engine_.specs[0].guard, nullptr);
}

TEST_F(ProbeRouteTest, WordsItsRefusalsAsBlackboxExporter) {
  const HttpResponse unknown = Get({{"target", "https://chitter.xyz/"}, {"module", "x"}});
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(unknown.body, "Unknown module \"x\"\n");
  const HttpResponse missing = Get({});
  EXPECT_EQ(missing.status, 400);
  EXPECT_EQ(missing.body, "Target parameter is missing\n");
  const HttpResponse timeout = Get({{"target", "https://chitter.xyz/"}}, "soon");
  EXPECT_EQ(timeout.status, 500);
  EXPECT_THAT(timeout.body, StartsWith("Failed to parse timeout from Prometheus header"));
}

TEST_F(ProbeRouteTest, LeavesPrometheusTimeToReadTheAnswer) {
  Get({{"target", "https://chitter.xyz/"}}, "10");
  EXPECT_EQ(engine_.specs.back().timeout, absl::Seconds(9.5));
  Get({{"target", "https://chitter.xyz/"}}, "0");
  EXPECT_EQ(engine_.specs.back().timeout, ProbeRoute::kTimeoutMax);
  Get({{"target", "https://chitter.xyz/"}}, "0.2");
  EXPECT_EQ(engine_.specs.back().timeout, absl::Seconds(0.2));
}

TEST_F(ProbeRouteTest, TakesOnlyTheNameFromTheRequest) {
  Get({{"target", "https://chitter.xyz/"},
       {"hostname", "media.chitter.xyz"},
       {"method", "DELETE"},
       {"body", "x"}});
  const probe::Spec& spec = engine_.specs.back();
  EXPECT_EQ(spec.http.method, "GET");
  EXPECT_EQ(spec.http.body, "");
  EXPECT_THAT(spec.http.headers,
              ::testing::ElementsAre(::testing::Pair("Host", "media.chitter.xyz")));
  route_.reset();
  options_.modules["own"].http.headers = {{"Host", "a.test"}};
  const HttpResponse twice =
      Get({{"target", "https://chitter.xyz/"}, {"module", "own"}, {"hostname", "b.test"}});
  EXPECT_EQ(twice.status, 400);
  EXPECT_THAT(twice.body, StartsWith("host header defined both in module configuration (a.test)"));
}

TEST_F(ProbeRouteTest, AProbesOwnModuleAsksItsOwnQuestion) {
  ProbeCheck& check = FakeProbes::Definition(probes_.views[0]);
  check.module = "timeline";
  check.spec.http.body_contains = "id";
  Get({{"target", "https://chitter.xyz/"}, {"module", "timeline"}});
  EXPECT_EQ(engine_.specs.back().http.body_contains, "id");
  EXPECT_EQ(Get({{"target", "https://other.test/"}, {"module", "timeline"}}).status, 400);
}

TEST_F(ProbeRouteTest, ShowsWhatWasDone) {
  engine_.result.log = {"0.1 connected"};
  const HttpResponse response = Get({{"target", "https://chitter.xyz/"}, {"debug", "true"}});
  EXPECT_TRUE(engine_.specs.back().keep_log);
  EXPECT_THAT(response.body, StartsWith("Logs for the probe:\n0.1 connected\n"));
  EXPECT_THAT(response.body, HasSubstr("Metrics that would have been returned:\n"));
  EXPECT_THAT(response.body, HasSubstr("Module configuration:\nprober: http\n"));
}

TEST_F(ProbeRouteTest, BoundsHowManyRun) {
  engine_.held = true;
  HttpRequest request;
  request.query = {{"target", "https://chitter.xyz/"}};
  Get({});
  size_t answered = 0;
  for (size_t i = 0; i < ProbeRoute::kProbesMax; ++i) {
    const HttpResponse response = route_->routes()[0].answer(request);
    ASSERT_TRUE(response.later);
    response.later([&](const HttpResponse&) { ++answered; });
  }
  EXPECT_EQ(route_->routes()[0].answer(request).status, 503);
  engine_.held = false;
  engine_.Release();
  EXPECT_EQ(answered, ProbeRoute::kProbesMax);
  EXPECT_TRUE(route_->routes()[0].answer(request).later);
}

TEST_F(ProbeRouteTest, EveryBuiltinModuleCanBeAsked) {
  for (auto& [name, spec] : BuiltinProbeModules()) {
    probe::Spec asked = spec;
    asked.target = spec.kind == probe::Kind::kHttp        ? "http://a.test/"
                   : spec.kind == probe::Kind::kWebSocket ? "ws://a.test/"
                                                          : "a.test:1";
    EXPECT_TRUE(probe::ValidateSpec(asked).ok()) << name;
  }
}

}  // namespace
}  // namespace fleet::collector
