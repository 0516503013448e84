#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace CLI {
class App;
}

namespace fleet::ctl {

/// The completion script for "bash", "zsh" or "fish": a few lines that ask `fleetctl complete`.
/// Empty for another shell.
std::string CompletionScript(absl::string_view shell);

/// What can stand at one place of a command line.
struct Completions {
  std::vector<std::string> words;
  bool targets = false;  // also the names of hosts and checks
  bool files = false;    // also paths
};

/// What can follow `words` (without the program's name; not the word being typed), by the commands
/// and options of `app`. Pure.
Completions Complete(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace fleet::ctl
