#include "fleetctl/history_view.h"

#include <gmock/gmock.h>

#include "fleetctl/moment.h"
#include "tests/support/matchers.h"

namespace fleet::ctl {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

void Add(v1::SeriesReply::Series& series, uint32_t index, double value) {
  v1::SeriesReply::Bucket& bucket = *series.add_buckets();
  bucket.set_index(index);
  bucket.set_min(value - 1);
  bucket.set_max(value);
  bucket.set_last(value);
}

v1::SeriesReply Example() {
  v1::SeriesReply reply;
  reply.set_since_seconds(1'700'000'000);
  reply.set_until_seconds(1'700'000'000 + 20 * 60);
  reply.set_buckets(20);
  reply.set_rate(true);
  v1::SeriesReply::Series& series = *reply.add_series();
  series.set_labels("mode=\"user\"");
  series.set_interval_seconds(60);
  for (const uint32_t index : {0u, 1u, 2u, 4u, 12u, 13u, 19u}) Add(series, index, 1000.0 * index);
  series.set_min(0);
  series.set_max(19'000);
  series.set_last(19'000);
  return reply;
}

TEST(HistoryViewTest, ALineOfBlocksWithItsGaps) {
  EXPECT_EQ(RenderHistory(Example(), "tempo node_cpu_seconds_total", {}),
            "tempo node_cpu_seconds_total, per second\n"
            "2023-11-14 22:13:20 to 2023-11-14 22:33:20 UTC\n"
            "\n"
            "{mode=\"user\"}\n"
            "▁▁▁▁▂▂▂▂    ▅▅▅▅▅  █\n"
            "min 0  max 19k  last 19k\n");
}

TEST(HistoryViewTest, AConstantIsAFlatLine) {
  v1::SeriesReply reply = Example();
  reply.set_rate(false);
  reply.set_buckets(3);
  reply.mutable_series(0)->clear_labels();
  reply.mutable_series(0)->set_max(0);
  reply.mutable_series(0)->mutable_buckets()->DeleteSubrange(1, 6);
  reply.mutable_series(0)->set_last(0);
  reply.set_left_out(7);
  EXPECT_EQ(RenderHistory(reply, "tempo up", {}),
            "tempo up\n"
            "2023-11-14 22:13:20 to 2023-11-14 22:33:20 UTC\n"
            "\n"
            "▁  \n"
            "min 0  max 0  last 0\n"
            "\n"
            "7 more series: name labels to choose\n");
}

TEST(HistoryViewTest, ProgramsGetEveryPoint) {
  v1::SeriesReply reply = Example();
  reply.mutable_series(0)->mutable_buckets()->DeleteSubrange(2, 5);
  EXPECT_EQ(RenderHistoryCsv(reply),
            "time,labels,min,max,last\n"
            "2023-11-14T22:13:20Z,\"mode=\"\"user\"\"\",-1,0,0\n"
            "2023-11-14T22:14:20Z,\"mode=\"\"user\"\"\",999,1000,1000\n");
  EXPECT_EQ(RenderHistoryJson(reply),
            "{\"since\":1700000000.0,\"until\":1700001200.0,\"rate\":true,\"series\":"
            "[{\"labels\":\"mode=\\\"user\\\"\",\"points\":"
            "[[1700000000.0,-1.0,0.0,0.0],[1700000060.0,999.0,1000.0,1000.0]]}]}\n");
}

TEST(EventsViewTest, OneLineEach) {
  v1::EventsReply reply;
  v1::EventsReply::Event& verdict = *reply.add_events();
  verdict.set_unix_seconds(1'700'000'000);
  verdict.set_host("tempo");
  verdict.set_subject("raid/md0");
  verdict.set_kind("verdict");
  verdict.set_from("ok");
  verdict.set_to("crit");
  verdict.set_text("degraded (1 of 2)");
  v1::EventsReply::Event& other = *reply.add_events();
  other.set_unix_seconds(1'700'000'060);
  other.set_host("parasect");
  other.set_kind("limit");
  other.set_text("a limit is reached");
  EXPECT_EQ(RenderEvents(reply, {}),
            "TIME (UTC)           HOST      WHAT      CHANGE     WHY\n"
            "2023-11-14 22:13:20  tempo     raid/md0  ok → crit  degraded (1 of 2)\n"
            "2023-11-14 22:14:20  parasect  limit     limit      a limit is reached\n");
  EXPECT_EQ(RenderEventsJson(reply).substr(0, 60),
            "[{\"time\":1700000000.0,\"host\":\"tempo\",\"subject\":\"raid/md0\",\"k");
  reply.clear_events();
  v1::EventsReply::Event& refused = *reply.add_events();
  refused.set_unix_seconds(1'700'000'000);
  refused.set_subject("5f0c9a1b2d3e4f60718293a4b5c6d7e8");
  refused.set_kind("refused");
  refused.set_to("revoked");
  refused.set_text("a certificate that is revoked, and what else there is to say about it");
  const std::string narrow = RenderEvents(reply, {});
  EXPECT_THAT(narrow, testing::HasSubstr("5f0c9a1b2d3…  refused: revoked  a certificate"));
  EXPECT_THAT(narrow, testing::HasSubstr("…\n"));
  // Nobody reads it on a terminal: nothing is left out.
  EXPECT_THAT(
      RenderEvents(reply, {.cut = false}),
      testing::HasSubstr("5f0c9a1b2d3e4f60718293a4b5c6d7e8  refused: revoked  a certificate "
                         "that is revoked, and what else there is to say about it\n"));
  EXPECT_EQ(RenderEvents({}, {}), "no events in that time\n");
}

TEST(MomentTest, SpansAreAgoAndTimesAreTimes) {
  EXPECT_EQ(ParseMoment("10m")->ago_seconds(), 600);
  EXPECT_EQ(ParseMoment("2023-11-14T22:13:20Z")->unix_seconds(), 1'700'000'000);
  EXPECT_EQ(ParseMoment("2023-11-14T23:13:20+01:00")->unix_seconds(), 1'700'000'000);
  EXPECT_EQ(ParseMoment("2023-11-14 22:13")->unix_seconds(), 1'699'999'980);
  for (const char* text : {"", "yesterday", "-5m", "10"}) {
    EXPECT_THAT(ParseMoment(text), HasCode(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST(SelectorTest, NamesAMetricAndItsLabels) {
  v1::SeriesRequest request;
  EXPECT_THAT(ParseSelector("node_load1", request), IsOk());
  EXPECT_EQ(request.metric(), "node_load1");
  EXPECT_EQ(request.matches_size(), 0);
  EXPECT_THAT(ParseSelector("x{mode=\"a,\\\"b\",cpu=0}", request), IsOk());
  ASSERT_EQ(request.matches_size(), 2);
  EXPECT_EQ(request.matches(0).name(), "mode");
  EXPECT_EQ(request.matches(0).value(), "a,\"b");
  EXPECT_EQ(request.matches(1).value(), "0");
  for (const char* text : {"", "{a=b}", "x{a=b", "x{a}", "x{a=\"b}", "x{a=\"b\"c}", "x{=b}"}) {
    v1::SeriesRequest bad;
    EXPECT_THAT(ParseSelector(text, bad), HasCode(absl::StatusCode::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace fleet::ctl
