#pragma once

#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/renewal.h"

namespace fleet::agent {

struct JoinArguments {
  std::string config;     // agent.yaml; may be empty
  std::string token;      // "-": from stdin
  std::string collector;  // over the token's
};

/// `fleet-agent join TOKEN`: makes the key, has it certified, writes the files where agent.yaml
/// wants them and says what to do next. Returns the exit code.
int RunJoinCommand(const JoinArguments& arguments, const AgentSettings& settings);

/// What keeps the certificate of a running agent fresh; null without TLS.
std::unique_ptr<Renewal> StartRenewal(const AgentSettings& settings);

}  // namespace fleet::agent
