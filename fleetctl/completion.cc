#include "fleetctl/completion.h"

namespace fleet::ctl {
namespace {

constexpr absl::string_view kBash =
    R"sh(# bash completion for fleetctl: fleetctl completion bash > /etc/bash_completion.d/fleetctl
_fleetctl() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
  case $previous in
    -o|--output) COMPREPLY=($(compgen -W "table wide json tsv" -- "$word")); return ;;
    --fail-on) COMPREPLY=($(compgen -W "warn crit" -- "$word")); return ;;
    --ca|--cert|--key) COMPREPLY=($(compgen -f -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "status explain hosts completion --help --version --collector --insecure" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "--output --watch --fail-on --collector --insecure --ca --cert --key --help" -- "$word"))
  elif [ "$command" = status ] || [ "$command" = explain ]; then
    COMPREPLY=($(compgen -W "$(fleetctl names 2>/dev/null)" -- "$word"))
  fi
}
complete -F _fleetctl fleetctl
)sh";

constexpr absl::string_view kZsh = R"sh(#compdef fleetctl
# zsh completion for fleetctl: fleetctl completion zsh > "${fpath[1]}/_fleetctl"
_fleetctl() {
  local -a commands
  commands=('status:the state of the fleet' 'explain:one check in full' 'hosts:who reports'
            'completion:a completion script')
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[CURRENT-1] in
    -o|--output) compadd table wide json tsv; return ;;
    --fail-on) compadd warn crit; return ;;
    --ca|--cert|--key) _files; return ;;
  esac
  case $words[2] in
    status|explain) compadd -- ${(f)"$(fleetctl names 2>/dev/null)"} ;;
    completion) compadd bash zsh fish ;
;
esac
}
_fleetctl "$@"
)sh";

constexpr absl::string_view kFish =
    R"sh(# fish completion for fleetctl: fleetctl completion fish > ~/.config/fish/completions/fleetctl.fish
complete -c fleetctl -f
complete -c fleetctl -n __fish_use_subcommand -a status -d 'The state of the fleet'
complete -c fleetctl -n __fish_use_subcommand -a explain -d 'One check in full'
complete -c fleetctl -n __fish_use_subcommand -a hosts -d 'Who reports'
complete -c fleetctl -n __fish_use_subcommand -a completion -d 'A completion script'
complete -c fleetctl -n '__fish_seen_subcommand_from status explain' -a '(fleetctl names 2>/dev/null)'
complete -c fleetctl -n '__fish_seen_subcommand_from status' -s o -l output -x -a 'table wide json tsv'
complete -c fleetctl -n '__fish_seen_subcommand_from status' -s w -l watch -d 'Show changes as they come'
complete -c fleetctl -n '__fish_seen_subcommand_from status' -l fail-on -x -a 'warn crit'
complete -c fleetctl -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
complete -c fleetctl -l collector -x -d 'host:port of the collector'
complete -c fleetctl -l insecure -d 'Plaintext, to a collector on loopback'
)sh";

}  // namespace

std::string CompletionScript(absl::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return "";
}

}  // namespace fleet::ctl
