#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "fleetctl/command.h"
#include "fleetctl/completion.h"

namespace fleet::ctl {
namespace {

/// The names that a target can have: hosts and their checks. Nothing when the collector does not
/// answer, because nobody wants an error in the middle of typing.
void PrintTargets(const Context& context) {
  const auto reply = FetchStatus(context.client, {});
  if (!reply.ok()) return;
  for (const v1::HostStatus& host : reply->hosts()) {
    std::cout << host.name() << "\n";
    for (const v1::CheckStatus& check : host.checks()) {
      std::cout << host.name() << "/" << check.name() << "\n";
    }
  }
}

}  // namespace

Command::Run AddCompletion(CLI::App& app, Context&) {
  const auto shell = std::make_shared<std::string>();
  app.add_subcommand("completion", "print a completion script")
      ->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return [shell] {
    std::cout << CompletionScript(*shell);
    return 0;
  };
}

Command::Run AddComplete(CLI::App& app, Context& context) {
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* complete = app.add_subcommand("complete", "what can follow, for completion scripts");
  complete->group("");
  complete->add_option("words", *words);
  return [&app, &context, words] {
    const Completions found = Complete(app, *words);
    for (const std::string& word : found.words) std::cout << word << "\n";
    if (found.targets) PrintTargets(context);
    return 0;
  };
}

}  // namespace fleet::ctl
