#include "tests/support/fake_receiver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/remote_write/snappy.h"

namespace fleet::test {
namespace {

constexpr size_t kBodyBytesMax = 64 << 20;

uint64_t Bits(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

std::string SeriesName(const v1::prometheus::TimeSeries& series) {
  std::string name;
  std::string before;
  std::vector<std::string> labels;
  for (const v1::prometheus::Label& label : series.labels()) {
    EXPECT_LT(before, label.name()) << "labels are not sorted";
    EXPECT_NE(label.value(), "") << label.name();
    before = label.name();
    if (label.name() == "__name__") {
      name = label.value();
    } else {
      labels.push_back(absl::StrCat(label.name(), "=\"", label.value(), "\""));
    }
  }
  EXPECT_NE(name, "");
  return absl::StrCat(name, "{", absl::StrJoin(labels, ","), "}");
}

}  // namespace

HttpResponse MakeResponse(int code, const std::string& body) {
  HttpResponse response;
  response.code = code;
  response.body = body;
  return response;
}

std::optional<HttpResponse> FakeReceiver::Refusal(const std::string& name, const Sample& sample,
                                                  const std::vector<Sample>& known) const {
  if (options.refuse != nullptr) {
    if (auto refused = options.refuse(name, sample)) return refused;
  }
  const int64_t head_ms =
      newest_ms_ == INT64_MIN ? INT64_MIN : newest_ms_ - absl::ToInt64Milliseconds(options.head);
  const int64_t time = sample.time_ms;
  if (time >= head_ms) {
    if (known.empty() || time > known.back().time_ms) return std::nullopt;
    if (time == known.back().time_ms) {
      if (Bits(sample.value) == Bits(known.back().value)) return std::nullopt;
      return MakeResponse(400, "duplicate sample for timestamp\n");
    }
  }
  if (options.window > absl::ZeroDuration()) {
    if (time >= newest_ms_ - absl::ToInt64Milliseconds(options.window)) return std::nullopt;
    return MakeResponse(500, "too old sample\n");
  }
  return MakeResponse(400, time < head_ms ? "out of bounds\n" : "out of order sample\n");
}

HttpResponse FakeReceiver::Take(const v1::prometheus::WriteRequest& request) {
  auto copy = series;
  const int64_t newest_before = newest_ms_;
  size_t samples = 0;
  int64_t newest = newest_ms_;
  for (const v1::prometheus::TimeSeries& one : request.timeseries()) {
    const std::string name = SeriesName(one);
    std::vector<Sample>& known = copy[name];
    for (const v1::prometheus::Sample& got : one.samples()) {
      ++samples;
      const Sample sample{got.timestamp(), got.value()};
      if (auto refused = Refusal(name, sample, known)) {
        newest_ms_ = newest_before;
        return *std::move(refused);
      }
      newest = std::max(newest, sample.time_ms);
      const auto at =
          std::lower_bound(known.begin(), known.end(), sample,
                           [](const Sample& a, const Sample& b) { return a.time_ms < b.time_ms; });
      if (at != known.end() && at->time_ms == sample.time_ms) continue;
      known.insert(at, sample);
    }
  }
  samples_most = std::max(samples_most, samples);
  newest_ms_ = newest;
  series = std::move(copy);
  for (const v1::prometheus::MetricMetadata& one : request.metadata()) {
    metadata[one.metric_family_name()] = one;
  }
  return MakeResponse(204);
}

absl::StatusOr<HttpResponse> FakeReceiver::Post(const HttpRequest& request) {
  ++requests;
  heads.push_back(request);
  heads.back().body.clear();
  if (heads.size() > 100) heads.erase(heads.begin());
  if (answer != nullptr) {
    if (auto said = answer()) return *std::move(said);
  }
  const auto bytes = collector::SnappyUncompress(request.body, kBodyBytesMax);
  v1::prometheus::WriteRequest message;
  if (!bytes.ok() || !message.ParseFromString(*bytes)) return MakeResponse(400, "not decoded");
  std::set<std::string> instances;
  for (const v1::prometheus::TimeSeries& one : message.timeseries()) {
    for (const v1::prometheus::Label& label : one.labels()) {
      if (label.name() == "instance") instances.insert(label.value());
    }
  }
  EXPECT_LE(instances.size(), 1u) << "more than one host in a request";
  HttpResponse response = Take(message);
  if (after != nullptr) {
    if (auto said = after()) return *std::move(said);
  }
  return response;
}

std::vector<absl::StatusOr<HttpResponse>> FakeReceiver::PostAll(absl::Span<const HttpRequest> all) {
  std::vector<absl::StatusOr<HttpResponse>> responses;
  for (const HttpRequest& request : all) {
    responses.push_back(Post(request));
    if (date == nullptr || !responses.back().ok()) continue;
    responses.back()->headers.emplace_back(
        "Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", date(), absl::UTCTimeZone()));
  }
  return responses;
}

}  // namespace fleet::test
