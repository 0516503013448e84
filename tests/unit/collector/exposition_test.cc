#include "collector/exposition.h"

#include <zlib.h>

#include <limits>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/support/state_feeder.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Render(const FleetView& view, ExpositionFormat format) {
  Exposition exposition(view, format);
  std::string text;
  while (true) {
    const absl::string_view piece = exposition.Next();
    if (piece.empty()) return text;
    text.append(piece.data(), piece.size());
  }
}

/// Without the builtin families.
std::string Agents(absl::string_view text) {
  std::vector<absl::string_view> kept;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.find("fleet_host_") == line.npos && line.find("fleet_check_") == line.npos &&
        line.find("fleet_spool_") == line.npos && line.find("fleet_item_") == line.npos) {
      kept.push_back(line);
    }
  }
  return absl::StrJoin(kept, "\n");
}

std::string Gunzip(absl::string_view packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string text(8 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

std::string ReadAll(BodySource& body, size_t step) {
  std::string text;
  std::vector<char> buffer(step);
  while (true) {
    const auto count = body.Read(buffer.data(), buffer.size());
    EXPECT_THAT(count, IsOk());
    if (!count.ok() || *count == 0) return text;
    text.append(buffer.data(), *count);
  }
}

class ExpositionTest : public ::testing::Test {
 protected:
  void SendExample() {
    Report report;
    report.check = "example";
    report.interval = absl::Seconds(10);
    report.duration = absl::Milliseconds(1.5);
    report.verdict = Verdict::kWarn;
    report.items = {{"/", Verdict::kOk, UnknownKind::kNone, "", ""},
                    {"/da\"ta", Verdict::kWarn, UnknownKind::kNone, "", ""},
                    {"/", Verdict::kCrit, UnknownKind::kNone, "", ""}};
    SampleSet& samples = report.samples;
    const SampleSet::Family cpu{"node_cpu_seconds_total", MetricType::kCounter,
                                "Seconds the CPUs spent in each mode."};
    samples.AddRaw(cpu, R"(cpu="0",mode="idle")", 12345.67);
    samples.AddRaw({"node_load1", MetricType::kGauge, "1m load average."}, "", 0.2);
    samples.AddRaw(cpu, R"(cpu="0",mode="user")", 1e6);
    samples.AddRaw({"pg_odd_count", MetricType::kCounter, "A \"counter\"\nwith \\ no suffix."}, "",
                   -0.0);
    samples.AddRaw({"x_total", MetricType::kCounter, "Clashes with x."}, "",
                   std::numeric_limits<double>::quiet_NaN());
    samples.AddRaw({"x", MetricType::kUntyped, "Untyped."}, "",
                   -std::numeric_limits<double>::infinity());
    samples.AddRaw({"fleet_raid_disks", MetricType::kGauge, "Disks."}, R"(host="me")", 1e300);
    ASSERT_THAT(feeder_.Send("tempo", report), IsOk());
    ASSERT_THAT(feeder_.Send("para", MakeReport("load", {{"node_load1", 3}})), IsOk());
  }

  test::FakeClock clock_;
  FleetState state_{clock_, {}};
  test::StateFeeder feeder_{state_, clock_};
};

TEST_F(ExpositionTest, SaysWhatACheckFollowsFrom) {
  ASSERT_THAT(feeder_.Send("tempo", MakeReport("redis", {}, Verdict::kCrit, "refused")), IsOk());
  Report sidekiq = MakeReport("sidekiq", {}, Verdict::kUnknown, "cannot look");
  sidekiq.parent = "tempo/redis";
  ASSERT_THAT(feeder_.Send("parasect", sidekiq), IsOk());
  const std::string follows =
      "fleet_check_follows{check=\"sidekiq\",cause=\"tempo/redis\",instance=\"parasect\","
      "job=\"fleet\",host=\"parasect\"} 1\n";
  EXPECT_THAT(Render(state_.Snapshot(), ExpositionFormat::kText), HasSubstr(follows));
  // Its cause is another host, which a scrape of this one does not show.
  EXPECT_THAT(Render(state_.Snapshot("parasect"), ExpositionFormat::kText), HasSubstr(follows));
  EXPECT_THAT(Render(state_.Snapshot("tempo"), ExpositionFormat::kText),
              Not(HasSubstr("fleet_check_follows{")));
}

TEST_F(ExpositionTest, RendersText) {
  SendExample();
  EXPECT_EQ(Agents(Render(state_.Snapshot(), ExpositionFormat::kText)),
            R"(# HELP fleet_raid_disks Disks.
# TYPE fleet_raid_disks gauge
fleet_raid_disks{exported_host="me",instance="tempo",job="fleet",host="tempo"} 1e+300
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle",instance="tempo",job="fleet"} 12345.67
node_cpu_seconds_total{cpu="0",mode="user",instance="tempo",job="fleet"} 1000000
# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1{instance="para",job="fleet"} 3
node_load1{instance="tempo",job="fleet"} 0.2
# HELP pg_odd_count A "counter"\nwith \\ no suffix.
# TYPE pg_odd_count counter
pg_odd_count{instance="tempo",job="fleet"} -0
# HELP x Untyped.
# TYPE x untyped
x{instance="tempo",job="fleet"} -Inf
# HELP x_total Clashes with x.
# TYPE x_total counter
x_total{instance="tempo",job="fleet"} NaN
)");
}

TEST_F(ExpositionTest, RendersOpenMetrics) {
  SendExample();
  const std::string text = Render(state_.Snapshot("tempo"), ExpositionFormat::kOpenMetrics);
  EXPECT_EQ(Agents(text),
            R"(# HELP fleet_raid_disks Disks.
# TYPE fleet_raid_disks gauge
fleet_raid_disks{exported_host="me",instance="tempo",job="fleet",host="tempo"} 1e+300
# HELP node_cpu_seconds Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds counter
node_cpu_seconds_total{cpu="0",mode="idle",instance="tempo",job="fleet"} 12345.67
node_cpu_seconds_total{cpu="0",mode="user",instance="tempo",job="fleet"} 1000000
# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1{instance="tempo",job="fleet"} 0.2
# HELP pg_odd_count A \"counter\"\nwith \\ no suffix.
# TYPE pg_odd_count unknown
pg_odd_count{instance="tempo",job="fleet"} -0
# HELP x Untyped.
# TYPE x unknown
x{instance="tempo",job="fleet"} -Inf
# HELP x_total Clashes with x.
# TYPE x_total unknown
x_total{instance="tempo",job="fleet"} NaN
# EOF
)");
}

TEST_F(ExpositionTest, SaysWhatIsKnownOfHostsChecksAndItems) {
  SendExample();
  clock_.Advance(absl::Seconds(20));
  const std::string text = Render(state_.Snapshot(), ExpositionFormat::kText);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  constexpr char kTail[] = R"(instance="tempo",job="fleet",host="tempo"} )";
  for (const std::string& line : {
           absl::StrCat("fleet_host_up{", kTail, "1"),
           absl::StrCat("fleet_host_last_seen_timestamp_seconds{", kTail, "1.7e+09"),
           absl::StrCat("fleet_host_status{", kTail, "1"),
           absl::StrCat("fleet_host_series{", kTail, "7"),
           absl::StrCat("fleet_spool_reports{", kTail, "3"),
           absl::StrCat("fleet_spool_dropped_reports_total{", kTail, "2"),
           absl::StrCat("fleet_host_refused_series{reason=\"limit\",", kTail, "0"),
           absl::StrCat("fleet_check_status{check=\"example\",", kTail, "1"),
           absl::StrCat("fleet_check_success{check=\"example\",", kTail, "1"),
           absl::StrCat("fleet_check_duration_seconds{check=\"example\",", kTail, "0.0015"),
           absl::StrCat("fleet_item_status{check=\"example\",item=\"/\",", kTail, "2"),
           absl::StrCat("fleet_item_status{check=\"example\",item=\"/da\\\"ta\",", kTail, "1"),
           std::string("# TYPE fleet_host_up gauge"),
       }) {
    EXPECT_THAT(lines, Contains(line));
  }
}

TEST_F(ExpositionTest, ASilentHostLeavesUpAndLastSeenBehind) {
  SendExample();
  clock_.Advance(absl::Seconds(46));
  const std::string text = Render(state_.Snapshot("para"), ExpositionFormat::kText);
  EXPECT_THAT(text, HasSubstr("fleet_host_up{instance=\"para\",job=\"fleet\",host=\"para\"} 0"));
  EXPECT_THAT(text, HasSubstr("fleet_host_last_seen_timestamp_seconds{"));
  EXPECT_THAT(text, Not(HasSubstr("node_load1")));
  EXPECT_THAT(text, Not(HasSubstr("fleet_check_status{")));
}

TEST_F(ExpositionTest, StreamsTheSameTextInPiecesOfAnySize) {
  for (int host = 0; host < 30; ++host) {
    Report report = MakeReport("many");
    for (int i = 0; i < 500; ++i) {
      report.samples.AddRaw({absl::StrCat("family_", i % 7), MetricType::kGauge, "One of seven."},
                            absl::StrCat("i=\"", i, "\""), host * 1000 + i + 0.5);
      report.items.push_back({absl::StrCat("item", i), Verdict::kOk, UnknownKind::kNone, "", ""});
    }
    ASSERT_THAT(feeder_.Send(absl::StrCat("host", host), report), IsOk());
  }
  const FleetView view = state_.Snapshot();
  for (const ExpositionFormat format : {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
    const std::string text = Render(view, format);
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    // The last is empty.
    const size_t samples = 30 * (500 + 500 + 8 + 4 + 4 + 6);
    const size_t headers = 2 * (7 + BuiltinMetrics().size());
    EXPECT_EQ(lines.size() - 1, samples + headers + (format == ExpositionFormat::kText ? 0 : 1));
    for (const size_t step : {size_t{9973}, size_t{65536}, size_t{1} << 20}) {
      EXPECT_EQ(ReadAll(*MakeExpositionBody(view, format, false), step), text);
      EXPECT_EQ(Gunzip(ReadAll(*MakeExpositionBody(view, format, true), step)), text);
    }
  }
}

TEST_F(ExpositionTest, ASnapshotIsNotChangedByLaterReports) {
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 1}})), IsOk());
  const FleetView view = state_.Snapshot();
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 2}})), IsOk());
  EXPECT_THAT(Render(view, ExpositionFormat::kText),
              HasSubstr("x{instance=\"a\",job=\"fleet\"} 1"));
}

TEST_F(ExpositionTest, AnEmptyFleetIsValid) {
  EXPECT_THAT(Render(state_.Snapshot(), ExpositionFormat::kOpenMetrics),
              ::testing::EndsWith("# EOF\n"));
}

}  // namespace
}  // namespace fleet::collector
