#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/options.h"
#include "agent/postgres/answers.h"
#include "agent/postgres/queries.h"
#include "agent/postgres/session.h"
#include "common/clock.h"

namespace fleet::agent {

/// One server over many runs: its connection, what it can be asked, and the answers that outlive a
/// run. Used by one thread at a time.
class PgServer {
 public:
  PgServer(const PostgresServer& config, Watchdog& watchdog);

  /// Connects where needed and asks what is due. A connection that broke since the last run is
  /// replaced at once. `now` is the run's monotonic clock, `deadline` the machine's.
  /// Errors: those of PgSession when nothing could be learned; a group that fails alone is in
  /// `failures` instead.
  absl::Status Refresh(const PostgresOptions& options, SteadyTime now, SteadyTime deadline);

  /// As of the last Refresh that returned OK.
  const PgAnswers& answers() const { return answers_; }
  /// Groups the server refused to answer, by name.
  const std::map<std::string, absl::Status>& failures() const { return failures_; }
  const std::string& name() const { return name_; }
  const PgAddress& address() const { return address_; }
  bool connected() const { return session_.open(); }
  /// As far as a run has learned it.
  std::optional<double> usable_connections() const { return usable_connections_; }

 private:
  struct Kept {
    std::shared_ptr<const PgTable> table;
    SteadyTime at;
  };
  absl::Status Prepare(SteadyTime deadline);
  absl::Status Connect(SteadyTime now, SteadyTime deadline);
  absl::Status AskGroups(const PostgresOptions& options, SteadyTime now, SteadyTime deadline);
  absl::Status Ask(std::vector<const PgQuery*> due, PgAnswers& answers, SteadyTime now,
                   SteadyTime deadline);
  void AskFurther(const PostgresOptions& options, SteadyTime deadline);
  void AskTables(const PostgresOptions& options, SteadyTime now, SteadyTime deadline);
  bool Due(const PgQuery& query, const PostgresOptions& options, SteadyTime now) const;
  void Fail(absl::string_view group, const absl::Status& error, SteadyTime now);

  const std::string name_;
  const PgTarget target_;
  PgAddress address_;
  absl::Status dsn_error_;
  Watchdog& watchdog_;
  PgSession session_;
  std::vector<const PgQuery*> queries_;
  /// Answers of the slower groups, and of databases ("tables NAME").
  std::map<std::string, Kept> kept_;
  std::map<std::string, absl::Status> failures_;
  std::map<std::string, SteadyTime> retry_at_;
  PgAnswers answers_;
  std::optional<double> usable_connections_;
  bool monitor_ = false;  // whether our role has pg_monitor
  /// Refused logins in a row, and when to try again: each one is a line in the server's log.
  int refusals_ = 0;
  SteadyTime refused_until_;
  absl::Status refusal_;
};

}  // namespace fleet::agent
