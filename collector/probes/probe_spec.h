#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "collector/probes/probes.h"

namespace fleet::collector {

/// What is wrong with the definition of a probe.
struct ProbeProblem {
  std::string field;  // as ProbeConfig calls it: "url", "string_match"
  std::string message;
};

/// Makes what the engine is asked from what updown's words say: fills in `type` (when it is empty),
/// `name`, `alias` stays, `module`, and of `spec` the kind, target, credentials, method, headers,
/// body and what `string_match` asks for; all else of `spec` stays as it is. Credentials move from
/// the URL to `spec`. Pure. Returns every problem.
std::vector<ProbeProblem> DeriveSpec(ProbeCheck& check);

/// What the updown API asks of a check beyond that, in its words: "Period is not included in the
/// list (given: 45)". Pure.
std::vector<std::string> ApiProblems(const ProbeCheck& check);

/// The problem as updown words it: "Url is invalid: …".
std::string ApiMessage(const ProbeProblem& problem);

/// Four letters and digits that follow from `name` and `attempt`. Pure.
std::string TokenFor(absl::string_view name, int attempt);
bool IsProbeToken(absl::string_view text);

/// `text` without spaces and newlines at both ends; other white space is kept.
absl::string_view StripMatch(absl::string_view text);

/// RE2 that finds `text` as it is.
std::string QuotePattern(absl::string_view text);

/// The three digits of a string_match that is an expected status; 0: it is none.
int ExpectedStatus(absl::string_view string_match);

/// The steps to TLS of "smtp", "imap" or "pop3"; empty for anything else.
std::vector<probe::TcpStep> StartTlsSteps(absl::string_view protocol);

}  // namespace fleet::collector
