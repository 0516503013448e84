#include "collector/web/announcements.h"

#include "collector/web/updates.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using State = AnnouncementState;

class AnnouncementsTest : public ::testing::Test {
 protected:
  std::unique_ptr<AnnouncementStore> Open() {
    auto store = AnnouncementStore::Open(path_, clock_);
    EXPECT_THAT(store, IsOk());
    return *std::move(store);
  }

  test::TempDir dir_;
  std::string path_ = dir_ / "announcements.db";
  test::FakeClock clock_;
};

TEST_F(AnnouncementsTest, KeepsWhatWasSaidInOrderOverARestart) {
  std::string id;
  {
    auto store = Open();
    ASSERT_THAT(store->Post(State::kResolved, "old", ""), IsOk());
    const auto posted = store->Post(State::kInvestigating, "Slow **uploads**\nmore", "rado");
    ASSERT_THAT(posted, IsOk());
    EXPECT_THAT(posted->id, SizeIs(6));
    EXPECT_EQ(posted->Title(), "Slow uploads more");
    id = posted->id;
    clock_.Advance(absl::Minutes(5));
    ASSERT_THAT(store->Update(id, State::kResolved, "", "ann"), IsOk());
  }
  auto store = Open();
  const auto found = store->List(10);
  ASSERT_THAT(found, IsOk());
  ASSERT_THAT(*found, SizeIs(2));
  EXPECT_EQ((*found)[0].id, id);
  ASSERT_THAT((*found)[0].updates, SizeIs(2));
  EXPECT_TRUE((*found)[0].resolved());
  EXPECT_EQ((*found)[0].updated() - (*found)[0].created(), absl::Minutes(5));
  EXPECT_EQ((*found)[0].updates[1].by, "ann");
  EXPECT_EQ((*found)[1].Title(), "old");
  EXPECT_THAT(*store->List(1), SizeIs(1));
}

TEST_F(AnnouncementsTest, RefusesWhatItCannotShow) {
  auto store = Open();
  const auto refusal = [&](absl::string_view text) {
    return store->Post(State::kInvestigating, text, "").status();
  };
  EXPECT_THAT(refusal(" \n"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(refusal(std::string(AnnouncementStore::kTextBytesMax + 1, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 8192")));
  EXPECT_THAT(refusal("ab\xff"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte 3")));
  EXPECT_THAT(refusal("a\x1b[1m"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("control character")));
  EXPECT_THAT(store->Update("nobody", State::kResolved, "x", ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no announcement \"nobody\"")));
  const std::string id = store->Post(State::kInvestigating, "x", "")->id;
  EXPECT_THAT(store->Update(id, std::nullopt, "", ""), HasCode(absl::StatusCode::kInvalidArgument));
  for (size_t i = 1; i < AnnouncementStore::kUpdatesMax; ++i) {
    ASSERT_THAT(store->Update(id, std::nullopt, "y", ""), IsOk());
  }
  EXPECT_THAT(store->Update(id, std::nullopt, "y", ""),
              HasCode(absl::StatusCode::kResourceExhausted));
}

TEST_F(AnnouncementsTest, TheOldestMakesRoomForANewOne) {
  path_ = "";
  auto store = Open();
  for (int64_t i = 0; i <= AnnouncementStore::kAnnouncementsMax; ++i) {
    ASSERT_THAT(store->Post(State::kResolved, absl::StrCat("number ", i), ""), IsOk());
  }
  const auto found = store->List(1'000'000);
  ASSERT_THAT(*found, SizeIs(AnnouncementStore::kAnnouncementsMax));
  EXPECT_EQ(found->back().Title(), "number 1");
}

TEST_F(AnnouncementsTest, UpdatesShowTheNewestFirstAndForgetWhatIsOver) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Announcement open{"aaaaaa",
                    {{now - absl::Hours(99), State::kInvestigating, "We *look*.", "rado"},
                     {now - absl::Hours(98), State::kIdentified, "<b>x</b>", "rado"}}};
  Announcement over{"bbbbbb", {{now - absl::Hours(25), State::kResolved, "gone", ""}}};
  EXPECT_EQ(
      RenderUpdates({open, over}, now, absl::UTCTimeZone()),
      "<article id=\"aaaaaa\">\n"
      "<p><strong>Identified</strong> <time datetime=\"2023-11-10T20:13:20Z\">10 Nov 2023, "
      "20:13 UTC</time></p>\n<p>&lt;b&gt;x&lt;/b&gt;</p>\n"
      "<p><strong>Investigating</strong> <time datetime=\"2023-11-10T19:13:20Z\">10 Nov 2023, "
      "19:13 UTC</time></p>\n<p>We <em>look</em>.</p>\n</article>\n");
  over.updates[0].time = now - absl::Hours(23);
  EXPECT_THAT(RenderUpdates({over}, now, absl::UTCTimeZone()), HasSubstr("gone"));
  EXPECT_THAT(RenderUpdates({}, now, absl::UTCTimeZone()), IsEmpty());
}

}  // namespace
}  // namespace fleet::collector
