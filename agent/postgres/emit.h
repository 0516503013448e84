#pragma once

#include "absl/strings/string_view.h"
#include "agent/check.h"
#include "agent/postgres/answers.h"

namespace fleet::agent {

/// Adds the samples of one server: the families of postgres_exporter with its labels and rows
/// (zeros for the lock modes and states nobody is in, NaN for NULL), and our own.
void EmitPostgres(const PgAnswers& answers, absl::string_view server, CheckRun& run);

}  // namespace fleet::agent
