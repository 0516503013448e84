#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/postgres/table.h"

namespace fleet::agent {

/// What one server last said, by query group (see queries.h) and for a few more questions:
/// "blocked", "busy" and "tables NAME" for a database. A group that failed or was not asked is not
/// there.
class PgAnswers {
 public:
  struct Answer {
    std::string name;
    std::shared_ptr<const PgTable> table;
    absl::Duration age;  // zero for what was asked this run
    bool slow = false;   // whether it is asked less often than every run
  };

  void Set(absl::string_view name, PgTable table, absl::Duration age = absl::ZeroDuration(),
           bool slow = false) {
    Set(name, std::make_shared<const PgTable>(std::move(table)), age, slow);
  }
  void Set(absl::string_view name, std::shared_ptr<const PgTable> table, absl::Duration age,
           bool slow) {
    answers_.push_back({std::string(name), std::move(table), age, slow});
  }
  /// Null when the group is not there.
  const PgTable* Find(absl::string_view name) const {
    for (const Answer& answer : answers_) {
      if (answer.name == name) return answer.table.get();
    }
    return nullptr;
  }
  /// The one row of a group that has one; null without it.
  const PgTable* Row(absl::string_view name) const {
    const PgTable* const table = Find(name);
    return table != nullptr && table->rows() == 1 ? table : nullptr;
  }
  const std::vector<Answer>& all() const { return answers_; }

 private:
  std::vector<Answer> answers_;
};

/// "tables " before a database's name.
inline constexpr absl::string_view kPgTablesGroup = "tables ";

/// Sessions that belong to clients. Without pg_monitor the kind of a session is hidden; then those
/// in a database are counted.
struct PgSessionCounts {
  double clients = 0;
  double idle_clients = 0;
  double waiting = 0;
  double oldest_transaction_s = 0;
  double idle_in_transaction_s = 0;
  double autovacuum_workers = 0;
};
PgSessionCounts CountSessions(const PgTable& sessions);

/// Sessions that ordinary clients may have; nothing without the `server` group.
std::optional<double> UsableConnections(const PgAnswers& answers);

}  // namespace fleet::agent
