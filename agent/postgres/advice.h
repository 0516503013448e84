#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/postgres/session.h"

namespace fleet::agent {

/// Why a server let us in no further, and the lines that change it.
/// `error` is what PgSession::Connect or Query said; `address` where and as whom we tried;
/// `system_user` whom the agent runs as. Nothing when `error` is not about rights. Pure.
std::optional<std::string> PgBlindReason(const absl::Status& error, const PgAddress& address,
                                         absl::string_view system_user);

/// Why a server that is there does not serve: saturated, starting up, not answering. `usable` is
/// the number of connections ordinary clients may have, as far as known. Pure.
std::string PgDownReason(const absl::Status& error, std::optional<double> usable);

/// `name` as SQL needs it: unchanged when it is a plain lower-case word, else in double quotes.
std::string PgIdentifier(absl::string_view name);

}  // namespace fleet::agent
