#include "fleetctl/text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fleet::ctl {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

std::string Fit(absl::string_view text, size_t columns) {
  const size_t has = Columns(text);
  if (has <= columns) return absl::StrCat(text, std::string(columns - has, ' '));
  if (columns == 0) return "";
  size_t bytes = 0;
  for (size_t kept = 0; bytes < text.size(); ++bytes) {
    if (!IsContinuation(text[bytes]) && kept++ == columns - 1) break;
  }
  return absl::StrCat(text.substr(0, bytes), "…");
}

std::string Wrap(absl::string_view text, size_t width, absl::string_view indent) {
  const size_t room = width > Columns(indent) + 20 ? width - Columns(indent) : 20;
  std::string out;
  std::string line;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (!line.empty() && Columns(line) + 1 + Columns(word) > room) {
      absl::StrAppend(&out, indent, line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  if (!line.empty()) absl::StrAppend(&out, indent, line, "\n");
  return out;
}

std::string VerdictText(v1::Verdict verdict, v1::UnknownKind unknown) {
  switch (verdict) {
    case v1::VERDICT_OK:
      return "ok";
    case v1::VERDICT_WARN:
      return "warn";
    case v1::VERDICT_CRIT:
      return "crit";
    default:
      break;
  }
  switch (unknown) {
    case v1::UNKNOWN_KIND_STUCK:
      return "unknown: stuck";
    case v1::UNKNOWN_KIND_BLIND:
      return "unknown: blind";
    case v1::UNKNOWN_KIND_ERROR:
      return "unknown: error";
    default:
      return "unknown";
  }
}

std::string Paint(absl::string_view text, v1::Verdict verdict, bool color) {
  if (!color) return std::string(text);
  absl::string_view code = "35";  // unknown: magenta
  if (verdict == v1::VERDICT_OK) code = "32";
  if (verdict == v1::VERDICT_WARN) code = "33";
  if (verdict == v1::VERDICT_CRIT) code = "1;31";
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

int Badness(v1::Verdict verdict) {
  switch (verdict) {
    case v1::VERDICT_OK:
      return 0;
    case v1::VERDICT_WARN:
      return 1;
    case v1::VERDICT_CRIT:
      return 3;
    default:
      return 2;
  }
}

void Table::Add(std::vector<std::string> cells, v1::Verdict verdict, int painted) {
  rows_.push_back({std::move(cells), verdict, painted});
}

std::string Table::Render(size_t width, bool color) const {
  std::vector<size_t> widths(rows_[0].cells.size());
  for (const Row& row : rows_) {
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], Columns(row.cells[i]));
    }
  }
  std::string out;
  for (const Row& row : rows_) {
    size_t used = 0;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const bool last = i + 1 == row.cells.size();
      std::string cell = row.cells[i];
      if (last && width > used + 3 && Columns(cell) > width - used) cell = Fit(cell, width - used);
      const size_t padding = last ? 0 : widths[i] + 2 - Columns(cell);
      absl::StrAppend(&out,
                      row.painted == static_cast<int>(i) ? Paint(cell, row.verdict, color) : cell,
                      std::string(padding, ' '));
      used += widths[i] + 2;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out.push_back('\n');
  }
  return out;
}

}  // namespace fleet::ctl
