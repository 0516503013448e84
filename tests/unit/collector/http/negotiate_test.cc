#include "collector/http/negotiate.h"

#include <gtest/gtest.h>

namespace fleet::collector {
namespace {

TEST(WantsOpenMetricsTest, FollowsWhatIsAskedFirst) {
  for (const char* accept :
       {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q="
        "0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; q=0.9, */*;q=0.1",
        "APPLICATION/OpenMetrics-Text", "application/openmetrics-text,text/plain"}) {
    EXPECT_TRUE(WantsOpenMetrics(accept)) << accept;
  }
}

TEST(WantsOpenMetricsTest, OtherwiseText) {
  for (const char* accept :
       {"", "*/*", "text/plain", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
        "text/plain;version=0.0.4,application/openmetrics-text",
        "text/plain,application/openmetrics-text;q=0.5",
        "application/openmetrics-text;version=0.0.1", "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=nan", "application/openmetrics-text;q=2", ",;,;;=,",
        "application/openmetrics-text;version=2.0.0,*/*"}) {
    EXPECT_FALSE(WantsOpenMetrics(accept)) << accept;
  }
}

TEST(AcceptsGzipTest, NeedsAWeightAboveZero) {
  for (const char* accept : {"gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br;q=1, *;q=0.1",
                             "x-gzip", "gzip;q=0.001, *;q=0"}) {
    EXPECT_TRUE(AcceptsGzip(accept)) << accept;
  }
  for (const char* accept :
       {"", "identity", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzippy", "gzip;q=x", "deflate"}) {
    EXPECT_FALSE(AcceptsGzip(accept)) << accept;
  }
}

}  // namespace
}  // namespace fleet::collector
