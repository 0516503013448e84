#pragma once

#include <functional>

#include "absl/types/span.h"
#include "fleetctl/client.h"
#include "fleetctl/status_view.h"

namespace CLI {
class App;
}

/// One file per command (NAME_command.cc) and one table of them (commands.cc).
namespace fleet::ctl {

inline constexpr int kExitUnreachable = 4;
inline constexpr int kExitUsage = 64;

/// What every command shares.
struct Context {
  ClientOptions client;
};

/// One command of fleetctl.
struct Command {
  /// Adds the subcommand with its options to `app` and returns what runs it, to be called when it
  /// was given; the result is the exit code. `context` outlives both and is filled by then.
  using Run = std::function<int()>;
  Run (*add)(CLI::App& app, Context& context);
};

/// Every command, in the order of --help.
absl::Span<const Command> Commands();

Command::Run AddStatus(CLI::App& app, Context& context);
Command::Run AddExplain(CLI::App& app, Context& context);
Command::Run AddHosts(CLI::App& app, Context& context);
Command::Run AddProbes(CLI::App& app, Context& context);
Command::Run AddDowntimes(CLI::App& app, Context& context);
Command::Run AddHistory(CLI::App& app, Context& context);
Command::Run AddEvents(CLI::App& app, Context& context);
Command::Run AddExport(CLI::App& app, Context& context);
Command::Run AddAnnounce(CLI::App& app, Context& context);
Command::Run AddEnroll(CLI::App& app, Context& context);
Command::Run AddJoin(CLI::App& app, Context& context);
Command::Run AddRevoke(CLI::App& app, Context& context);
Command::Run AddRetire(CLI::App& app, Context& context);
Command::Run AddCa(CLI::App& app, Context& context);
Command::Run AddKey(CLI::App& app, Context& context);
Command::Run AddCompletion(CLI::App& app, Context& context);
Command::Run AddComplete(CLI::App& app, Context& context);

// ---- what commands have in common -----------------------------------------------------------

/// Where stdout is a terminal, its width and whether it takes colours (NO_COLOR is obeyed).
ViewOptions TerminalView();

/// Says on stderr what went wrong; the exit code for it: 64 for what the caller got wrong (also a
/// name that the collector does not know), else 4.
int Fail(const absl::Status& status);

/// An environment variable, or `otherwise` when it is not set or empty.
std::string Environment(const char* name, const std::string& otherwise);

/// "HOST", "HOST/CHECK" or "HOST/CHECK/ITEM" (the item is left out) as a request.
v1::StatusRequest RequestFor(const std::string& target);

}  // namespace fleet::ctl
