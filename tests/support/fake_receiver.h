#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/http_client.h"
#include "fleet/v1/remote_write.pb.h"

namespace fleet::test {

/// Stands in for a TSDB with a remote-write endpoint: takes or refuses samples as Prometheus 2.42
/// does (a request as a whole), and keeps what it took. The real one is in the integration tests.
class FakeReceiver {
 public:
  struct Sample {
    int64_t time_ms;
    double value;
    bool operator==(const Sample&) const = default;
  };
  struct Options {
    /// How far behind its newest sample it takes samples out of order; zero: none.
    absl::Duration window = absl::ZeroDuration();
    /// How far behind its newest sample a new series may begin.
    absl::Duration head = absl::Hours(1);
    /// Refuses a sample with this answer; asked before everything else.
    std::function<std::optional<HttpResponse>(const std::string& series, const Sample&)> refuse;
  };

  FakeReceiver() = default;
  explicit FakeReceiver(Options its_options) : options(std::move(its_options)) {}

  std::vector<absl::StatusOr<HttpResponse>> PostAll(absl::Span<const HttpRequest> requests);

  /// `name{a="b"}` as PromQL writes it, labels sorted: what it has of each series, by time.
  std::map<std::string, std::vector<Sample>> series;
  std::map<std::string, v1::prometheus::MetricMetadata> metadata;
  int requests = 0;
  size_t samples_most = 0;         // of one request
  std::vector<HttpRequest> heads;  // without bodies, of the newest requests
  /// In whose stead each request is answered, as a broken receiver does.
  std::function<std::optional<absl::StatusOr<HttpResponse>>()> answer;
  /// Runs after a request was taken and before it is answered.
  std::function<std::optional<absl::StatusOr<HttpResponse>>()> after;
  /// What its clock says, in the header Date; without it there is none.
  std::function<absl::Time()> date;
  Options options;

 private:
  absl::StatusOr<HttpResponse> Post(const HttpRequest& request);
  HttpResponse Take(const v1::prometheus::WriteRequest& request);
  std::optional<HttpResponse> Refusal(const std::string& name, const Sample& sample,
                                      const std::vector<Sample>& known) const;

  int64_t newest_ms_ = INT64_MIN;
};

/// A reply with that code and body.
HttpResponse MakeResponse(int code, const std::string& body = "");

}  // namespace fleet::test
