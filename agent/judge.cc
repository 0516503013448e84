#include "agent/judge.h"

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr size_t kReasonBytesMax = 1000;

/// What a failed run says of the check as a whole, beside what its items say.
struct Failure {
  Verdict verdict;
  UnknownKind unknown;
};

Failure FailureOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:  // expected, or the caller would have said absent
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kUnavailable:
      return {Verdict::kCrit, UnknownKind::kNone};
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return {Verdict::kUnknown, UnknownKind::kBlind};
    case absl::StatusCode::kDeadlineExceeded:
      return {Verdict::kUnknown, UnknownKind::kStuck};
    default:
      return {Verdict::kUnknown, UnknownKind::kError};
  }
}

/// Takes the verdict of the worst item where it is worse than what the check itself said, and its
/// reason where the check gave none for a verdict this bad.
void AdoptWorstItem(Report& report) {
  const Item* worst = nullptr;
  size_t bad = 0;
  for (const Item& item : report.items) {
    if (item.verdict != Verdict::kOk) ++bad;
    if (worst == nullptr || IsWorse(item.verdict, worst->verdict)) worst = &item;
  }
  if (worst == nullptr || worst->verdict == Verdict::kOk) return;
  if (!IsWorse(worst->verdict, report.verdict)) return;
  report.verdict = worst->verdict;
  report.unknown = worst->unknown;
  report.reason =
      worst->reason.empty() ? worst->name : absl::StrCat(worst->name, ": ", worst->reason);
  if (bad > 1) absl::StrAppend(&report.reason, " (+", bad - 1, " more)");
  if (report.parent.empty()) report.parent = worst->parent;
}

/// A check that is fine and gave no reason says what it looked at.
void SayWhatIsFine(Report& report) {
  if (report.items.size() == 1) {
    const Item& item = report.items[0];
    report.reason = absl::StrCat(item.name, item.reason.empty() ? "" : ": ", item.reason);
  } else if (report.items.size() > 1) {
    report.reason = absl::StrCat("all ", report.items.size(), " are fine");
  }
}

/// Names and reasons hold what hosts and servers wrote (a mount point in Latin-1, a banner): as
/// text they leave on one line, in UTF-8 and without control characters.
void Clean(std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool ascii = byte < 0x80;
    const size_t size = ascii ? 1 : Utf8SequenceSize(absl::string_view(text).substr(i));
    if (size == 0 || byte < 0x20 || byte == 0x7F) {
      text = OneLine(text, kReasonBytesMax);
      return;
    }
    i += size;
  }
}

void CleanTexts(Report& report) {
  Clean(report.reason);
  Clean(report.parent);
  for (Item& item : report.items) {
    Clean(item.name);
    Clean(item.reason);
    Clean(item.parent);
  }
}

}  // namespace

void Judge(const absl::Status& status, bool expected, Report& report) {
  CleanTexts(report);
  report.success = status.ok();
  const bool missing = absl::IsNotFound(status) || absl::IsUnimplemented(status);
  if (missing && !expected) {
    report.absent = true;
    report.success = true;
    report.reason = OneLine(status.message(), kReasonBytesMax);
    report.verdict = Verdict::kOk;
    report.items.clear();
    report.samples.Clear();
    return;
  }
  if (!status.ok()) {
    const Failure failure = FailureOf(status.code());
    // A reason that the check gave itself (Raise) stands when it is as bad.
    if (IsWorse(failure.verdict, report.verdict)) {
      report.verdict = failure.verdict;
      report.unknown = failure.unknown;
      report.reason = OneLine(status.message(), kReasonBytesMax);
      if (missing) absl::StrAppend(&report.reason, " (was here before)");
    }
  }
  AdoptWorstItem(report);
  if (report.verdict == Verdict::kOk && report.reason.empty()) SayWhatIsFine(report);
  if (report.verdict == Verdict::kUnknown && report.unknown == UnknownKind::kNone) {
    report.unknown = UnknownKind::kError;
  }
}

Report StuckReport(absl::string_view check, absl::Time start, absl::Duration running) {
  Report report;
  report.check = std::string(check);
  report.start = start;
  report.duration = running;
  report.success = false;
  report.verdict = Verdict::kUnknown;
  report.unknown = UnknownKind::kStuck;
  report.reason = absl::StrCat("no answer for ", HumanDuration(running));
  return report;
}

}  // namespace fleet::agent
