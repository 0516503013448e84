#include "agent/checks/disk_judge.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

/// Errors younger than this are what is happening now, not an old story nobody repaired.
constexpr absl::Duration kErrorsRecent = absl::Hours(24);
/// A filesystem that is full later than this is not worth a word.
constexpr absl::Duration kForecastShown = absl::Hours(24 * 30);

struct Finding {
  Verdict verdict;
  std::string text;
};

Verdict ByRatio(double ratio, double warn, double crit) {
  if (ratio >= crit) return Verdict::kCrit;
  return ratio >= warn ? Verdict::kWarn : Verdict::kOk;
}

void JudgeErrors(const FilesystemErrors& errors, absl::Time now, std::vector<Finding>& findings) {
  if (errors.count <= 0) return;
  const bool recent = errors.grew || now - errors.last < kErrorsRecent;
  std::string text = absl::StrCat(errors.count, " filesystem errors");
  if (errors.last != absl::InfinitePast() && errors.last <= now) {
    absl::StrAppend(&text, ", last ", HumanDuration(now - errors.last), " ago");
  }
  if (!errors.where.empty()) absl::StrAppend(&text, " in ", errors.where);
  if (!recent) absl::StrAppend(&text, ", run e2fsck");
  findings.push_back({recent ? Verdict::kCrit : Verdict::kWarn, std::move(text)});
}

void JudgeUsage(const FilesystemFacts& facts, const DiskOptions& options,
                std::vector<Finding>& findings) {
  const FilesystemUsage& usage = *facts.usage;
  const double used = usage.UsedRatio();
  std::string text = absl::StrCat(HumanPercent(used), " used");
  const Verdict space = ByRatio(used, options.warn_ratio, options.crit_ratio);
  Verdict full = Verdict::kOk;
  if (facts.leak || facts.full_in <= options.full_within_crit) {
    full = Verdict::kCrit;
  } else if (facts.full_in <= options.full_within_warn) {
    full = Verdict::kWarn;
  }
  if (space == Verdict::kOk && full == Verdict::kOk) {
    absl::StrAppend(&text, ", ", HumanBytes(usage.available_bytes), " free");
  }
  if (facts.full_in < kForecastShown) {
    absl::StrAppend(&text, ", full in ", HumanDuration(facts.full_in));
  }
  findings.push_back({Worse(space, full), std::move(text)});

  const double files = usage.FilesUsedRatio();
  const Verdict inodes = ByRatio(files, options.inodes_warn_ratio, options.inodes_crit_ratio);
  if (inodes != Verdict::kOk) {
    findings.push_back({inodes, absl::StrCat(HumanPercent(files), " of inodes used")});
  }
}

}  // namespace

FilesystemJudgement JudgeFilesystem(const FilesystemFacts& facts, absl::Time now,
                                    const DiskOptions& options) {
  std::vector<Finding> findings;
  if (facts.read_only) {
    findings.push_back(facts.was_writable ? Finding{Verdict::kCrit, "read-only, was writable"}
                                          : Finding{Verdict::kOk, "read-only"});
  }
  if (facts.errors) JudgeErrors(*facts.errors, now, findings);
  // A full read-only image is as it was made.
  if (facts.usage && facts.usage->size_bytes > 0 && !(facts.read_only && !facts.was_writable)) {
    JudgeUsage(facts, options, findings);
  }
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return IsWorse(a.verdict, b.verdict);
  });
  FilesystemJudgement judgement;
  std::vector<std::string> texts;
  for (Finding& finding : findings) {
    judgement.verdict = Worse(judgement.verdict, finding.verdict);
    texts.push_back(std::move(finding.text));
  }
  judgement.reason = absl::StrJoin(texts, "; ");
  return judgement;
}

}  // namespace fleet::agent
