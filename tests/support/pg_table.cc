#include "tests/support/pg_table.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

std::vector<std::string> Cells(absl::string_view line) {
  std::vector<std::string> cells;
  for (const absl::string_view cell : absl::StrSplit(line, '|')) {
    cells.emplace_back(absl::StripAsciiWhitespace(cell));
  }
  return cells;
}

}  // namespace

agent::PgTable MakePgTable(std::vector<std::string> columns, const std::vector<PgCells>& rows) {
  agent::PgTable table(std::move(columns));
  for (const PgCells& row : rows) {
    FLEET_ASSERT(row.size() == table.columns().size());
    for (const std::optional<std::string>& cell : row) {
      table.Add(cell.has_value() ? std::optional<absl::string_view>(*cell) : std::nullopt);
    }
  }
  return table;
}

agent::PgTable PsqlTable(absl::string_view text, absl::string_view section, size_t nth) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  size_t i = 0;
  while (i < lines.size() && lines[i] != absl::StrCat("== ", section)) ++i;
  for (; i + 1 < lines.size(); ++i) {
    const bool heading = absl::StartsWith(lines[i + 1], "--") &&
                         lines[i + 1].find_first_not_of("-+") == std::string::npos;
    if (!heading || nth-- > 0) continue;
    agent::PgTable table(Cells(lines[i]));
    for (i += 2; i < lines.size() && !lines[i].empty() && !absl::StartsWith(lines[i], "=="); ++i) {
      for (const std::string& cell : Cells(lines[i])) {
        table.Add(cell == "∅" ? std::nullopt : std::optional<absl::string_view>(cell));
      }
    }
    return table;
  }
  FLEET_ASSERT(false && "no such section");
  return agent::PgTable({});
}

}  // namespace fleet::test
