#include "agent/tinc_hook.h"

#include <cstdlib>

#include "agent/host_fs.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempDir;
using ::testing::Contains;
using ::testing::SizeIs;

TincHookEvent Event(bool up, absl::string_view node) {
  return {up,        "6b0f8c2e", absl::Seconds(1001), absl::UnixEpoch(),
          "chitter", "tun0",     std::string(node),   "203.0.113.7"};
}

TincHookState State(const std::string& path) {
  const auto text = HostFs().Read(path);
  const auto state = ParseTincHook(text.value_or(""));
  EXPECT_THAT(state, IsOk());
  return state.value_or(TincHookState{});
}

TEST(AppendTincHookTest, MakesFolderAndFileAndKeepsTheNewestWhenItHasGrown) {
  const TempDir dir;
  const std::string path = dir / "hook/events";
  ASSERT_THAT(AppendTincHook(path, Event(true, "parasect")), IsOk());
  ASSERT_THAT(AppendTincHook(path, Event(false, "parasect")), IsOk());
  EXPECT_THAT(State(path).events, SizeIs(2));
  size_t most = 0;
  for (int i = 0; i < 6000; ++i) {
    ASSERT_THAT(AppendTincHook(path, Event(i % 2 == 0, "laptop")), IsOk());
    if (i % 500 == 0) most = std::max(most, HostFs().Read(path).value_or("").size());
  }
  EXPECT_LT(most, (256U << 10) + 100);
  const TincHookState state = State(path);
  EXPECT_EQ(state.lines_bad, 0U);
  EXPECT_EQ(state.events.back(), Event(false, "laptop"));
  EXPECT_THAT(state.events, Contains(Event(false, "parasect")).Times(1));
}

TEST(AppendTincHookTest, WritesToPlainFilesOnly) {
  const TempDir dir;
  EXPECT_FALSE(AppendTincHook(dir.path(), Event(true, "parasect")).ok());
  EXPECT_THAT(AppendTincHook("/dev/null", Event(true, "parasect")),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(TincHookMainTest, TakesWhatTincdGivesItsScripts) {
  const TempDir dir;
  const std::string path = dir / "events";
  ::setenv("NODE", "parasect", 1);
  ::setenv("NETNAME", "chitter", 1);
  ::setenv("INTERFACE", "tun0", 1);
  ::setenv("REMOTEADDRESS", "203.0.113.7", 1);
  const char* const up[] = {"fleet-agent", "tinc-hook", "up", "--state", path.c_str()};
  EXPECT_EQ(TincHookMain(5, up), 0);
  const TincHookState state = State(path);
  ASSERT_THAT(state.events, SizeIs(1));
  EXPECT_EQ(state.events[0].node, "parasect");
  EXPECT_GT(state.events[0].since_boot, absl::ZeroDuration());
  EXPECT_EQ(state.events[0].boot_id,
            HostFs().ReadTrimmed("proc/sys/kernel/random/boot_id").value_or("-"));

  const char* const wrong[] = {"fleet-agent", "tinc-hook", "sideways"};
  EXPECT_EQ(TincHookMain(3, wrong), 64);
  ::setenv("NODE", "../etc", 1);
  EXPECT_EQ(TincHookMain(5, up), 64);
  ::unsetenv("NODE");
}

}  // namespace
}  // namespace fleet::agent
