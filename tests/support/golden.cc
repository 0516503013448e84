#include "tests/support/golden.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/judge.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

bool Masked(const GoldenMask& mask, absl::string_view family) {
  for (absl::string_view masked : mask.values) {
    if (absl::ConsumeSuffix(&masked, "*") ? absl::StartsWith(family, masked) : family == masked) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string GoldenText(absl::string_view check, CheckResult result, const GoldenMask& mask) {
  Report& report = result.report;
  report.check = std::string(check);
  agent::Judge(result.status, false, report);
  const auto word = [](Verdict verdict, UnknownKind kind) {
    const std::string name(VerdictName(verdict));
    return kind == UnknownKind::kNone ? name : absl::StrCat(name, ":", UnknownKindName(kind));
  };
  std::string text =
      absl::StrCat(check, ": ", report.absent ? "absent" : word(report.verdict, report.unknown),
                   ": ", report.reason, "\n");
  if (!report.parent.empty()) absl::StrAppend(&text, "  parent: ", report.parent, "\n");
  for (const Item& item : report.items) {
    absl::StrAppend(&text, "  ", item.name, ": ", word(item.verdict, item.unknown), ": ",
                    item.reason, "\n");
  }
  for (const std::string& line : result.lines()) {
    const absl::string_view family = absl::string_view(line).substr(0, line.find_first_of("{ "));
    if (Masked(mask, family)) {
      absl::StrAppend(&text, "    ", line.substr(0, line.rfind(' ')), " …\n");
    } else {
      absl::StrAppend(&text, "    ", line, "\n");
    }
  }
  for (const auto& [pattern, shown] : mask.texts) {
    RE2::GlobalReplace(&text, pattern, shown);
  }
  return text;
}

void ExpectGolden(absl::string_view name, const std::string& said) {
  const std::string path = absl::StrCat(FLEET_SOURCE_DIR, "/tests/fixtures/", name);
  if (std::getenv("UPDATE_GOLDEN") != nullptr) WriteFile(path, said);  // NOLINT
  EXPECT_EQ(said, ReadFile(path)) << path << ": see UPDATE_GOLDEN in tests/support/golden.h";
}

}  // namespace fleet::test
