#include "agent/judge.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

Report WithItems(std::vector<Item> items) {
  Report report;
  report.items = std::move(items);
  return report;
}
Item MakeItem(absl::string_view name, Verdict verdict, absl::string_view reason) {
  Item item;
  item.name = std::string(name);
  item.verdict = verdict;
  item.reason = std::string(reason);
  return item;
}

TEST(JudgeTest, TheWorstItemSpeaksForTheCheck) {
  Report report =
      WithItems({MakeItem("a", Verdict::kOk, ""), MakeItem("b", Verdict::kUnknown, "no answer"),
                 MakeItem("c", Verdict::kCrit, "full")});
  Judge(absl::OkStatus(), true, report);
  EXPECT_EQ(report.verdict, Verdict::kCrit);
  EXPECT_EQ(report.reason, "c: full (+1 more)");
  EXPECT_TRUE(report.success);
}

TEST(JudgeTest, ABlindCheckIsWorseThanAWarningAndBetterThanACrit) {
  Report report =
      WithItems({MakeItem("a", Verdict::kWarn, "w"), MakeItem("b", Verdict::kUnknown, "u")});
  Judge(absl::OkStatus(), true, report);
  EXPECT_EQ(report.verdict, Verdict::kUnknown);
  EXPECT_EQ(report.unknown, UnknownKind::kError);
}

TEST(JudgeTest, WhatWasNeverHereIsAbsentAndWhatWasIsCrit) {
  Report never;
  Judge(absl::NotFoundError("no /proc/mdstat"), false, never);
  EXPECT_TRUE(never.absent);
  EXPECT_EQ(never.verdict, Verdict::kOk);

  Report gone;
  Judge(absl::NotFoundError("no /proc/mdstat"), true, gone);
  EXPECT_FALSE(gone.absent);
  EXPECT_EQ(gone.verdict, Verdict::kCrit);
  EXPECT_EQ(gone.reason, "no /proc/mdstat (was here before)");
  EXPECT_FALSE(gone.success);
}

TEST(JudgeTest, EachCodeHasItsVerdict) {
  struct Case {
    absl::Status status;
    Verdict verdict;
    UnknownKind unknown;
  };
  for (const Case& c : std::vector<Case>{
           {absl::UnavailableError("refused"), Verdict::kCrit, UnknownKind::kNone},
           {absl::PermissionDeniedError("GRANT x"), Verdict::kUnknown, UnknownKind::kBlind},
           {absl::DeadlineExceededError("slow"), Verdict::kUnknown, UnknownKind::kStuck},
           {absl::InvalidArgumentError("garbage"), Verdict::kUnknown, UnknownKind::kError},
           {absl::InternalError("bug"), Verdict::kUnknown, UnknownKind::kError}}) {
    SCOPED_TRACE(c.status.ToString());
    Report report;
    Judge(c.status, false, report);
    EXPECT_EQ(report.verdict, c.verdict);
    EXPECT_EQ(report.unknown, c.unknown);
    EXPECT_EQ(report.reason, c.status.message());
    EXPECT_FALSE(report.success);
    EXPECT_FALSE(report.absent);
  }
}

TEST(JudgeTest, AFailureDoesNotHideADeadItem) {
  Report report = WithItems({MakeItem("md0", Verdict::kCrit, "degraded")});
  Judge(absl::InternalError("half of it could not be read"), true, report);
  EXPECT_EQ(report.verdict, Verdict::kCrit);
  EXPECT_EQ(report.reason, "md0: degraded");
}

TEST(JudgeTest, NothingUnprintableLeavesTheAgent) {
  Report report = WithItems({MakeItem("/mnt/caf\xe9", Verdict::kWarn, "91 %\n\x1b[31m"),
                             MakeItem("/mnt/café  x", Verdict::kOk, "")});
  Judge(absl::OkStatus(), false, report);
  EXPECT_EQ(report.items[0].name, "/mnt/caf\\xe9");
  EXPECT_EQ(report.items[0].reason, "91 % \\x1b[31m");
  EXPECT_EQ(report.items[1].name, "/mnt/café  x");
  EXPECT_EQ(report.reason, "/mnt/caf\\xe9: 91 % \\x1b[31m");
}

}  // namespace
}  // namespace fleet::agent
