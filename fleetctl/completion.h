#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace fleet::ctl {

/// The completion script for "bash", "zsh" or "fish": commands, options, and the names of hosts and
/// checks asked of the collector as one types. Empty for another shell.
std::string CompletionScript(absl::string_view shell);

}  // namespace fleet::ctl
