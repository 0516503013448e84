#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/postgres/table.h"

namespace fleet::test {

using PgCells = std::vector<std::optional<std::string>>;

agent::PgTable MakePgTable(std::vector<std::string> columns, const std::vector<PgCells>& rows);

/// The `nth` table (from 0) below the line "== section" of a psql session recorded with aligned
/// columns and NULL shown as "∅". Aborts when it is not there.
agent::PgTable PsqlTable(absl::string_view text, absl::string_view section, size_t nth = 0);

}  // namespace fleet::test
