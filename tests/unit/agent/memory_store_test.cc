#include "agent/memory_store.h"

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeClock;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::ReadFile;
using ::fleet::test::TempDir;
using ::fleet::test::WriteFile;
using ::testing::Pointee;

TEST(MemoryStoreTest, RemembersAcrossRestarts) {
  const TempDir dir;
  FakeClock clock;
  {
    MemoryStore store(dir.path(), true, clock);
    store.Load("raid");
    EXPECT_FALSE(store.seen("raid"));
    store.memory("raid").Set("slot\n1", "sdb\t\"x\"");
    store.MarkSeen("raid");
    ASSERT_THAT(store.Flush("raid", false), IsOk());
  }
  MemoryStore store(dir.path(), true, clock);
  store.Load("raid");
  EXPECT_TRUE(store.seen("raid"));
  EXPECT_THAT(store.memory("raid").Find("slot\n1"), Pointee(std::string("sdb\t\"x\"")));
}

TEST(MemoryStoreTest, WritesValuesRarelyAndNewKeysAtOnce) {
  const TempDir dir;
  FakeClock clock;
  MemoryStore store(dir.path(), true, clock);
  store.Load("disk");
  store.memory("disk").Set("slope", "1");
  ASSERT_THAT(store.Flush("disk", false), IsOk());
  const std::string first = ReadFile(dir / "memory/disk");
  EXPECT_NE(first, "");
  store.memory("disk").Set("slope", "2");
  ASSERT_THAT(store.Flush("disk", false), IsOk());
  EXPECT_EQ(ReadFile(dir / "memory/disk"), first);
  clock.Advance(MemoryStore::kWriteInterval);
  ASSERT_THAT(store.Flush("disk", false), IsOk());
  EXPECT_NE(ReadFile(dir / "memory/disk"), first);
}

TEST(MemoryStoreTest, SetsADamagedFileAsideAndStarts) {
  const TempDir dir;
  FakeClock clock;
  MemoryStore(dir.path(), true, clock);
  for (const char* text : {"", "fleet-memory 1 seen", "fleet-memory 2 seen\n", "fleet-memory 1 x\n",
                           "fleet-memory 1 seen\nno tab\n", "fleet-memory 1 seen\na\t\\q\n",
                           "fleet-memory 1 seen\na\tb"}) {
    SCOPED_TRACE(text);
    CheckMemory memory;
    bool seen = false;
    EXPECT_THAT(ParseMemory(text, memory, seen), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(MemoryStoreTest, ForgetsWhenTold) {
  const TempDir dir;
  FakeClock clock;
  MemoryStore store(dir.path(), true, clock);
  store.Load("redis");
  store.MarkSeen("redis");
  ASSERT_THAT(store.Flush("redis", false), IsOk());
  EXPECT_FALSE(store.TakeForgotten("redis"));
  ASSERT_THAT(MemoryStore::Forget(dir.path(), "redis"), IsOk());
  // Not written anew before it is noticed.
  store.memory("redis").Set("key", "value");
  EXPECT_THAT(store.Flush("redis", true), IsOk());
  clock.Advance(MemoryStore::kLookInterval);
  EXPECT_TRUE(store.TakeForgotten("redis"));
  EXPECT_FALSE(store.seen("redis"));
  EXPECT_THAT(MemoryStore::Forget(dir.path(), "redis"), HasCode(absl::StatusCode::kNotFound));
}

TEST(MemoryStoreTest, NoticesEachOfSeveralThatAreForgotten) {
  const TempDir dir;
  FakeClock clock;
  MemoryStore store(dir.path(), true, clock);
  for (const std::string check : {"redis", "postgres"}) {
    store.Load(check);
    store.MarkSeen(check);
    ASSERT_THAT(store.Flush(check, false), IsOk());
    EXPECT_FALSE(store.TakeForgotten(check));
  }
  // In the same moment as far as the directory's time stamp can tell.
  for (const std::string check : {"redis", "postgres"}) {
    ASSERT_THAT(MemoryStore::Forget(dir.path(), check), IsOk());
    clock.Advance(MemoryStore::kLookInterval);
    EXPECT_TRUE(store.TakeForgotten(check)) << check;
  }
}

}  // namespace
}  // namespace fleet::agent
