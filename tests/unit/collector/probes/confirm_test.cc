#include "collector/probes/confirm.h"

#include <gtest/gtest.h>

#include <random>

namespace fleet::collector {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

class ConfirmTest : public ::testing::Test {
 protected:
  Turned Look(double seconds, LookKind kind, const std::string& vantage = "collector",
              probe::IpFamily family = probe::IpFamily::kAny) {
    ConfirmLook look;
    look.vantage = vantage;
    look.family = family;
    look.kind = kind;
    look.time = kStart + absl::Seconds(seconds);
    if (kind != LookKind::kUp) look.error = "502";
    return confirmation_.Look(look, rule_);
  }
  double Since() { return absl::ToDoubleSeconds(confirmation_.since() - kStart); }

  ConfirmRule rule_;
  Confirmation confirmation_;
};

TEST_F(ConfirmTest, ThreeLooksOverAPeriodMakeADowntimeFromTheFirstFailureOn) {
  EXPECT_EQ(Look(-60, LookKind::kUp).turn, Turn::kNone);
  EXPECT_FALSE(confirmation_.hurried(rule_));
  EXPECT_EQ(Look(0, LookKind::kDown).turn, Turn::kNone);
  EXPECT_TRUE(confirmation_.hurried(rule_));
  EXPECT_EQ(Look(30, LookKind::kDown).turn, Turn::kNone);
  const Turned turned = Look(60, LookKind::kDown);
  EXPECT_EQ(turned.turn, Turn::kDown);
  EXPECT_EQ(turned.at, kStart);
  EXPECT_EQ(turned.error, "502");
  EXPECT_FALSE(confirmation_.hurried(rule_));
  EXPECT_FALSE(confirmation_.partial());

  EXPECT_EQ(Look(120, LookKind::kUp).turn, Turn::kNone);
  EXPECT_TRUE(confirmation_.hurried(rule_));
  EXPECT_EQ(Look(150, LookKind::kUp).turn, Turn::kNone);
  EXPECT_TRUE(confirmation_.down());
  const Turned up = Look(180, LookKind::kUp);
  EXPECT_EQ(up.turn, Turn::kUp);
  EXPECT_EQ(up.at, kStart + absl::Seconds(120));
}

TEST_F(ConfirmTest, WhatWorksInBetweenEndsTheSeries) {
  Look(0, LookKind::kDown);
  Look(30, LookKind::kDown);
  Look(60, LookKind::kUp);
  EXPECT_EQ(Look(90, LookKind::kDown).turn, Turn::kNone);
  EXPECT_EQ(Look(120, LookKind::kDown).turn, Turn::kNone);
  EXPECT_EQ(Look(150, LookKind::kDown).turn, Turn::kDown);
  EXPECT_EQ(Since(), 90);
}

TEST_F(ConfirmTest, BlindLooksNeitherConfirmNorRecover) {
  Look(0, LookKind::kDown);
  Look(30, LookKind::kBlind);
  Look(60, LookKind::kDown);
  EXPECT_EQ(Look(90, LookKind::kBlind).turn, Turn::kNone);
  EXPECT_FALSE(confirmation_.down());
  EXPECT_EQ(confirmation_.blind(rule_, kStart + absl::Seconds(90)), "502");
  EXPECT_EQ(Look(120, LookKind::kDown).turn, Turn::kDown);
  EXPECT_EQ(Since(), 0);
  EXPECT_EQ(confirmation_.blind(rule_, kStart + absl::Seconds(120)), "");
  for (int i = 0; i < 10; ++i) Look(150 + 30 * i, LookKind::kBlind);
  EXPECT_TRUE(confirmation_.down());
}

TEST_F(ConfirmTest, OneOfTwoVantagesIsNotEnough) {
  for (int i = 0; i < 20; ++i) {
    Look(60 * i, LookKind::kDown, "collector");
    EXPECT_EQ(Look(60 * i + 10, LookKind::kUp, "tempo").turn, Turn::kNone);
  }
  EXPECT_EQ(confirmation_.failing_vantages(rule_, kStart + absl::Seconds(1'200)), 1);
  // Then the other one sees it as well: it is down since then, not since one of them was broken.
  Look(1'200, LookKind::kDown, "collector");
  Look(1'210, LookKind::kDown, "tempo");
  Look(1'230, LookKind::kDown, "collector");
  Look(1'260, LookKind::kDown, "collector");
  const Turned turned = Look(1'270, LookKind::kDown, "tempo");
  EXPECT_EQ(turned.turn, Turn::kDown);
  EXPECT_EQ(Since(), 1'210);
}

TEST_F(ConfirmTest, TheRuleSaysHowManyVantages) {
  rule_.vantages_down = 1;
  Look(0, LookKind::kUp, "tempo");
  Look(1, LookKind::kDown, "collector");
  Look(31, LookKind::kDown, "collector");
  EXPECT_EQ(Look(61, LookKind::kDown, "collector").turn, Turn::kDown);
  confirmation_.Reset();
  rule_.vantages_down = 3;
  for (int i = 0; i < 5; ++i) {
    Look(30 * i, LookKind::kDown, "a");
    Look(30 * i + 1, LookKind::kDown, "b");
    Look(30 * i + 2, LookKind::kUp, "c");
  }
  EXPECT_FALSE(confirmation_.down());
  // Never more than can see.
  confirmation_.Reset();
  for (int i = 0; i < 3; ++i) Look(30 * i, LookKind::kDown, "a");
  EXPECT_TRUE(confirmation_.down());
}

TEST_F(ConfirmTest, SeveralVantagesAtOnceDoNotMakeABlinkADowntime) {
  for (const char* vantage : {"a", "b", "c", "d"}) Look(0.5, LookKind::kDown, vantage);
  EXPECT_FALSE(confirmation_.down());
  for (const char* vantage : {"a", "b", "c", "d"}) Look(60.5, LookKind::kUp, vantage);
  EXPECT_FALSE(confirmation_.down());
}

TEST_F(ConfirmTest, OneFamilyIsAPartialDowntime) {
  using probe::IpFamily;
  for (int i = 0; i < 3; ++i) {
    Look(30 * i, LookKind::kUp, "collector", IpFamily::kIpv4);
    Look(30 * i, LookKind::kDown, "collector", IpFamily::kIpv6);
  }
  EXPECT_TRUE(confirmation_.down());
  EXPECT_TRUE(confirmation_.partial());
  // Both for a moment: it was more than partial.
  Look(120, LookKind::kDown, "collector", IpFamily::kIpv4);
  for (int i = 5; i < 9; ++i) {
    Look(30 * i, LookKind::kUp, "collector", IpFamily::kIpv4);
    Look(30 * i, LookKind::kUp, "collector", IpFamily::kIpv6);
  }
  EXPECT_FALSE(confirmation_.down());
  EXPECT_FALSE(confirmation_.partial());
}

TEST_F(ConfirmTest, AFamilyThatCannotBeUsedHereIsNoNews) {
  using probe::IpFamily;
  Look(0, LookKind::kUp, "collector", IpFamily::kIpv4);
  Look(0, LookKind::kBlind, "collector", IpFamily::kIpv6);
  EXPECT_EQ(confirmation_.blind(rule_, kStart), "");
  for (int i = 1; i < 4; ++i) Look(30 * i, LookKind::kDown, "collector", IpFamily::kIpv4);
  EXPECT_TRUE(confirmation_.down());
  EXPECT_FALSE(confirmation_.partial());
}

TEST_F(ConfirmTest, AGapEndsASeries) {
  Look(0, LookKind::kDown);
  Look(30, LookKind::kDown);
  EXPECT_EQ(Look(3'600, LookKind::kDown).turn, Turn::kNone);
  Look(3'630, LookKind::kDown);
  EXPECT_EQ(Look(3'660, LookKind::kDown).turn, Turn::kDown);
  EXPECT_EQ(Since(), 3'600);
}

TEST_F(ConfirmTest, AClockThatWasSetDoesNotStopTheLooks) {
  Look(0, LookKind::kUp);
  EXPECT_EQ(Look(-10, LookKind::kDown).turn, Turn::kNone);  // late: not listened to
  EXPECT_FALSE(confirmation_.hurried(rule_));
  for (int i = 0; i < 3; ++i) Look(-7'200 + 30 * i, LookKind::kDown);
  EXPECT_TRUE(confirmation_.down());
}

TEST_F(ConfirmTest, RemindsOnceAfterSixtyLooks) {
  int reminders = 0;
  for (int i = 0; i < 200; ++i) {
    if (Look(60 * i, LookKind::kDown).turn == Turn::kStillDown) ++reminders;
  }
  EXPECT_EQ(reminders, 1);
}

TEST_F(ConfirmTest, APulseNeedsNoSecondLook) {
  rule_.looks = 1;
  EXPECT_EQ(Look(0, LookKind::kUp).turn, Turn::kNone);
  EXPECT_EQ(Look(60, LookKind::kDown).turn, Turn::kDown);
  EXPECT_EQ(Look(65, LookKind::kUp).turn, Turn::kUp);
}

/// Random outages, looked at as the schedule does, by one to four vantages: what was shorter than a
/// period is never told, what was longer than two always, and what is told lies where it was.
TEST(ConfirmProperty, TellsOutagesAsTheyWere) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto uniform = [&](double from, double to) {
      return std::uniform_real_distribution<double>(from, to)(random);
    };
    const int vantages = 1 + static_cast<int>(seed % 4);
    ConfirmRule rule;
    Confirmation confirmation;
    const double begin = uniform(600, 700);
    const double length = seed % 2 == 0 ? uniform(0.1, 56) : uniform(121, 2'000);
    std::vector<double> next;
    for (int v = 0; v < vantages; ++v) next.push_back(uniform(0, 60));
    int downs = 0;
    int ups = 0;
    Turned down;
    Turned up;
    bool was_down = false;
    while (true) {
      const size_t v =
          static_cast<size_t>(std::min_element(next.begin(), next.end()) - next.begin());
      const double at = next[v];
      if (at > 4'000) break;
      ConfirmLook look;
      look.vantage = absl::StrCat("v", v);
      look.kind = at >= begin && at < begin + length ? LookKind::kDown : LookKind::kUp;
      look.time = kStart + absl::Seconds(at);
      const Turned turned = confirmation.Look(look, rule);
      // Only the first of them is ours to hurry.
      next[v] = at + (v == 0 && confirmation.hurried(rule) ? 30 : 60) * uniform(0.99, 1.01);
      if (turned.turn == Turn::kDown) {
        ++downs;
        down = turned;
        EXPECT_FALSE(was_down);
        was_down = true;
      } else if (turned.turn == Turn::kUp) {
        ++ups;
        up = turned;
        EXPECT_TRUE(was_down);
        was_down = false;
      }
      EXPECT_EQ(confirmation.down(), was_down);
    }
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", vantages, " vantages, ", length, " s"));
    EXPECT_EQ(downs, length > 120 ? 1 : 0);
    EXPECT_EQ(ups, downs);
    if (downs == 1 && ups == 1) {
      const double told_begin = absl::ToDoubleSeconds(down.at - kStart);
      const double told_end = absl::ToDoubleSeconds(up.at - kStart);
      EXPECT_GE(told_begin, begin);
      EXPECT_LE(told_begin, begin + 61);
      EXPECT_GE(told_end, begin + length);
      EXPECT_LE(told_end, begin + length + 61);
    }
  }
}

/// Whatever comes in: down and up alternate, and times go forward.
TEST(ConfirmProperty, DownAndUpAlternate) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    ConfirmRule rule;
    rule.vantages_down = static_cast<int>(random() % 4);
    Confirmation confirmation;
    bool down = false;
    absl::Time last = absl::InfinitePast();
    absl::Time now = kStart;
    for (int i = 0; i < 2'000; ++i) {
      ConfirmLook look;
      look.vantage = absl::StrCat("v", random() % 3);
      look.family = random() % 2 == 0 ? probe::IpFamily::kIpv4 : probe::IpFamily::kIpv6;
      const bool mostly_down = (i / 100) % 2 == 1;
      const auto dice = random() % 10;
      look.kind = dice == 0                   ? LookKind::kBlind
                  : mostly_down == (dice < 8) ? LookKind::kDown
                                              : LookKind::kUp;
      now += absl::Seconds(static_cast<double>(random() % 30));
      look.time = now;
      const Turned turned = confirmation.Look(look, rule);
      if (turned.turn == Turn::kDown || turned.turn == Turn::kUp) {
        EXPECT_NE(down, turned.turn == Turn::kDown);
        down = turned.turn == Turn::kDown;
        EXPECT_GE(turned.at, last);
        EXPECT_LE(turned.at, now);
        EXPECT_NE(look.kind, LookKind::kBlind);
        last = turned.at;
      }
    }
  }
}

}  // namespace
}  // namespace fleet::collector
