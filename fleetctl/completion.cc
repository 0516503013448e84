#include "fleetctl/completion.h"

#include <CLI/CLI.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fleet::ctl {
namespace {

constexpr absl::string_view kBash =
    R"sh(# bash completion for fleetctl: fleetctl completion bash > /etc/bash_completion.d/fleetctl
_fleetctl() {
  local IFS=$'\n' line=${COMP_LINE:0:$COMP_POINT}
  local word=${line##* }
  local words
  IFS=' ' read -r -a words <<<"${line% *}"
  COMPREPLY=($(compgen -W "$(fleetctl complete -- "${words[@]:1}" 2>/dev/null)" -- "$word"))
}
complete -o default -F _fleetctl fleetctl
)sh";

constexpr absl::string_view kZsh = R"sh(#compdef fleetctl
# zsh completion for fleetctl: fleetctl completion zsh > "${fpath[1]}/_fleetctl"
_fleetctl() {
  local -a found
  found=(${(f)"$(fleetctl complete -- ${words[2,CURRENT-1]} 2>/dev/null)"})
  if (( $#found )); then compadd -- $found; else _files; fi
}
_fleetctl "$@"
)sh";

constexpr absl::string_view kFish =
    R"sh(# fish completion for fleetctl: fleetctl completion fish > ~/.config/fish/completions/fleetctl.fish
function __fleetctl_complete
    set -l words (commandline -opc)
    fleetctl complete -- $words[2..-1] 2>/dev/null
end
complete -c fleetctl -a '(__fleetctl_complete)'
)sh";

/// The words of a closed set, which the parser writes into the type's name: "TEXT:{table,json}".
std::vector<std::string> Choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
}

bool NamesAFile(const CLI::Option& option) {
  return absl::StrContains(option.get_description(), "PEM file") ||
         absl::StrContains(option.get_description(), "path");
}

/// What may stand as the value of `option`.
Completions ValuesOf(const CLI::Option& option) {
  Completions found;
  found.words = Choices(option);
  found.files = NamesAFile(option);
  return found;
}

bool TakesAValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

const CLI::Option* FindOption(const CLI::App& app, const std::string& word) {
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      if (!option->get_positional() && option->check_name(word)) return option;
    }
  }
  return nullptr;
}

const CLI::App* FindCommand(const CLI::App& app, const std::string& word) {
  const auto found = app.get_subcommands([&](const CLI::App* c) { return c->check_name(word); });
  return found.empty() ? nullptr : found.front();
}

void AddOptions(const CLI::App& app, std::vector<std::string>& words) {
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      if (option->get_positional() || option->get_group().empty()) continue;
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    }
  }
}

}  // namespace

std::string CompletionScript(absl::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return "";
}

Completions Complete(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  const CLI::Option* wants_value = nullptr;
  size_t positionals = 0;
  for (const std::string& word : words) {
    if (wants_value != nullptr) {
      wants_value = nullptr;
      continue;
    }
    if (absl::StartsWith(word, "-")) {
      const CLI::Option* option = FindOption(*at, word);
      if (option != nullptr && TakesAValue(*option)) wants_value = option;
      continue;
    }
    const CLI::App* next = FindCommand(*at, word);
    if (next != nullptr && positionals == 0) {
      at = next;
    } else {
      ++positionals;
    }
  }
  if (wants_value != nullptr) return ValuesOf(*wants_value);

  Completions found;
  for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) found.words.push_back(command->get_name());
  }
  for (const CLI::Option* option : at->get_options()) {
    if (!option->get_positional()) continue;
    if (positionals > 0) {
      if (option->get_items_expected_max() < CLI::detail::expected_max_vector_size) --positionals;
      continue;
    }
    const std::string name = option->get_name();
    found.targets = name == "target" || name == "host";
    const Completions values = ValuesOf(*option);
    found.words.insert(found.words.end(), values.words.begin(), values.words.end());
    found.files = values.files;
    break;
  }
  AddOptions(*at, found.words);
  return found;
}

}  // namespace fleet::ctl
