#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/parse/text.h"

namespace fleet::agent {

/// The rows a query gave, as the server wrote them: text or NULL. All text is in one string, so a
/// few hundred values cost a few allocations. Not thread-safe.
class PgTable {
 public:
  explicit PgTable(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  /// Makes room for so many rows.
  void Reserve(size_t rows) { cells_.reserve(rows * columns_.size()); }
  /// Appends the next cell, row by row.
  void Add(std::optional<absl::string_view> value) {
    const int32_t size = value.has_value() ? static_cast<int32_t>(value->size()) : -1;
    cells_.push_back({static_cast<uint32_t>(text_.size()), size});
    if (value.has_value()) text_.append(value->data(), value->size());
  }

  const std::vector<std::string>& columns() const { return columns_; }
  size_t rows() const { return columns_.empty() ? 0 : cells_.size() / columns_.size(); }

  /// Where `name` stands; nothing when the query of this server version has no such column.
  std::optional<size_t> Column(absl::string_view name) const {
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i] == name) return i;
    }
    return std::nullopt;
  }

  /// Nothing for NULL.
  std::optional<absl::string_view> At(size_t row, size_t column) const {
    const Cell& cell = cells_[row * columns_.size() + column];
    if (cell.size < 0) return std::nullopt;
    return absl::string_view(text_).substr(cell.begin, static_cast<size_t>(cell.size));
  }

  /// By column name: empty for NULL or a missing column.
  absl::string_view Text(size_t row, absl::string_view column) const {
    const std::optional<size_t> index = Column(column);
    return index.has_value() ? At(row, *index).value_or("") : "";
  }
  /// Nothing for NULL, a missing column or what is not a number. 't' and 'f' are 1 and 0.
  std::optional<double> Number(size_t row, absl::string_view column) const {
    const std::optional<size_t> index = Column(column);
    return index.has_value() ? ToNumber(At(row, *index)) : std::nullopt;
  }
  bool True(size_t row, absl::string_view column) const { return Text(row, column) == "t"; }

  static std::optional<double> ToNumber(std::optional<absl::string_view> text) {
    double value = 0;
    if (!text.has_value()) return std::nullopt;
    if (*text == "t" || *text == "f") return *text == "t" ? 1 : 0;
    if (!ParseNumber(*text, value)) return std::nullopt;
    return value;
  }

 private:
  struct Cell {
    uint32_t begin;
    int32_t size;  // negative: NULL
  };
  std::vector<std::string> columns_;
  std::vector<Cell> cells_;
  std::string text_;
};

/// One column by its name, looked up once for all rows; missing where the table is null or the
/// query of this server version has no such column. Valid as long as the table.
class PgColumn {
 public:
  PgColumn(const PgTable* table, absl::string_view name)
      : table_(table), index_(table == nullptr ? std::nullopt : table->Column(name)) {}

  /// As PgTable::Text, Number and True.
  absl::string_view Text(size_t row) const {
    return index_.has_value() ? table_->At(row, *index_).value_or("") : "";
  }
  std::optional<double> Number(size_t row) const {
    return index_.has_value() ? PgTable::ToNumber(table_->At(row, *index_)) : std::nullopt;
  }
  bool True(size_t row) const { return Text(row) == "t"; }

 private:
  const PgTable* table_;
  std::optional<size_t> index_;
};

}  // namespace fleet::agent
