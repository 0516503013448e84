#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "fleet/v1/report.pb.h"

/// Small pieces that the renderers share.
namespace fleet::ctl {

/// Columns that `text` takes on a terminal: code points, not bytes.
size_t Columns(absl::string_view text);
/// `text` cut to `columns` with "…", or padded to it.
std::string Fit(absl::string_view text, size_t columns);
/// Breaks `text` at blanks into lines of at most `width` columns, each after `indent`. A word that
/// is longer stands alone: a command must stay copyable.
std::string Wrap(absl::string_view text, size_t width, absl::string_view indent);

/// "ok", "warn", "crit", "unknown", or "unknown: blind" with a kind.
std::string VerdictText(v1::Verdict verdict, v1::UnknownKind unknown);
/// The same in the verdict's colour, when `color`.
std::string Paint(absl::string_view text, v1::Verdict verdict, bool color);
/// crit 3, unknown 2, warn 1, ok 0.
int Badness(v1::Verdict verdict);

/// Rows of cells, columns as wide as their widest cell, two blanks between, nothing after the last.
/// The last column is cut at `width` when `width` is not 0.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back({std::move(header), {}, -1}); }
  /// `painted`: the cell that Paint colours by `verdict`.
  void Add(std::vector<std::string> cells, v1::Verdict verdict, int painted);
  std::string Render(size_t width, bool color) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    v1::Verdict verdict;
    int painted;
  };
  std::vector<Row> rows_;
};

}  // namespace fleet::ctl
