#include "tests/support/test_agent.h"

#include <grpcpp/grpcpp.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/client_credentials.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::test {

struct TestAgent::Call {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Ingest::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::CollectorMessage>> stream;
  std::optional<grpc::Status> end;
};

TestAgent::TestAgent(Options options)
    : options_(std::move(options)), encoder_({options_.epoch, 0}, absl::Now()) {}

TestAgent::~TestAgent() {
  if (call_ == nullptr) return;
  call_->context.TryCancel();
  End().IgnoreError();  // the stream is the test's to judge while it lasts
}

absl::Status TestAgent::Connect(v1::Welcome* welcome) {
  call_ = std::make_unique<Call>();
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options_.tls.has_value()) {
    const auto made = CollectorCredentials(
        {options_.tls->ca, "", options_.tls->cert, options_.tls->key}, *options_.clock);
    if (!made.ok()) return made.status();
    credentials = *made;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  call_->channel =
      grpc::CreateCustomChannel(absl::StrCat("localhost:", options_.port), credentials, arguments);
  call_->stub = v1::Ingest::NewStub(call_->channel);
  call_->context.set_deadline(std::chrono::system_clock::now() +
                              absl::ToChronoSeconds(options_.deadline));
  call_->stream = call_->stub->Upload(&call_->context);
  v1::AgentMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_lane(options_.lane);
  hello.set_host(options_.host);
  hello.set_agent_version("test");
  hello.set_epoch(options_.epoch);
  hello.set_interval_seconds(1);
  call_->stream->Write(message);
  v1::CollectorMessage reply;
  if (!call_->stream->Read(&reply)) return End();
  if (!reply.has_welcome()) return absl::InternalError("no welcome");
  if (welcome != nullptr) *welcome = reply.welcome();
  return absl::OkStatus();
}

v1::AgentMessage TestAgent::Encode(const Report& report) {
  v1::AgentMessage message;
  v1::Records& records = *message.mutable_records();
  records.set_epoch(encoder_.id().epoch);
  records.set_segment(encoder_.id().number);
  records.set_first_index(encoder_.next_index());
  encoder_.Append(report, *records.mutable_data()).IgnoreError();  // test reports are small
  records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  return message;
}

absl::Status TestAgent::Send(const Report& report) { return SendMessage(Encode(report)); }

absl::Status TestAgent::SendMessage(const v1::AgentMessage& message, bool wait) {
  if (!call_->stream->Write(message)) return End();
  if (!wait) return absl::OkStatus();
  v1::CollectorMessage reply;
  if (!call_->stream->Read(&reply)) return End();
  if (!reply.has_ack()) return absl::InternalError("no ack");
  last_ack_ = reply.ack();
  return absl::OkStatus();
}

absl::Status TestAgent::Finish() {
  call_->stream->WritesDone();
  return WaitForEnd();
}

absl::Status TestAgent::WaitForEnd() {
  v1::CollectorMessage reply;
  while (call_->stream->Read(&reply)) {
  }
  return End();
}

absl::Status TestAgent::End() {
  if (!call_->end.has_value()) call_->end = call_->stream->Finish();
  return absl::Status(static_cast<absl::StatusCode>(call_->end->error_code()),
                      call_->end->error_message());
}

Report MakeReport(absl::string_view check, double value, Verdict verdict,
                  absl::string_view reason) {
  static constexpr MetricDesc kGauge = {"fleet_example_value", MetricType::kGauge,
                                        "An example's value."};
  static constexpr MetricDesc kCounter = {"node_example_total", MetricType::kCounter,
                                          "An example's events.", true};
  Report report;
  report.check = std::string(check);
  report.start = absl::Now();
  report.duration = absl::Milliseconds(1);
  report.interval = absl::Seconds(1);
  report.verdict = verdict;
  report.reason = std::string(reason);
  Item item;
  item.name = "one";
  item.verdict = verdict;
  item.reason = report.reason;
  report.items.push_back(std::move(item));
  report.samples.Add(kGauge, {{"check", check}}, value);
  report.samples.Add(kCounter, {{"check", check}, {"odd", "a \"b\"\\\n"}}, 2 * value);
  return report;
}

}  // namespace fleet::test
