#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "absl/time/time.h"
#include "fleetctl/command.h"
#include "fleetctl/key_client.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

struct Arguments {
  std::string name;
  bool read_only = false;
  bool quiet = false;
};

std::string TimeText(double seconds) {
  if (seconds <= 0) return "never";
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::UnixEpoch() + absl::Seconds(seconds),
                          absl::UTCTimeZone());
}

int New(const Context& context, const Arguments& arguments) {
  v1::NewKeyRequest request;
  request.set_name(arguments.name);
  request.set_read_only(arguments.read_only);
  const auto reply = NewKey(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  if (arguments.quiet) {
    std::cout << reply->key() << "\n";
    return 0;
  }
  std::cout << "The " << (arguments.read_only ? "read-only" : "full") << " key of "
            << arguments.name << ":\n\n    " << reply->key()
            << "\n\nIt is not shown again. It goes into the header X-API-KEY, or ?api-key=.\n"
            << "To end it: fleetctl key revoke " << arguments.name << "\n";
  return 0;
}

int List(const Context& context) {
  const auto reply = ListKeys(context.client);
  if (!reply.ok()) return Fail(reply.status());
  Table table({"NAME", "MAY", "MADE (UTC)", "BY", "LAST USED", "REVOKED"});
  for (const v1::ListKeysReply::Key& key : reply->keys()) {
    const bool revoked = key.revoked_seconds() > 0;
    table.Add({key.name(), key.read_only() ? "read" : "all", TimeText(key.made_seconds()),
               key.made_by().empty() ? "-" : key.made_by(), TimeText(key.last_used_seconds()),
               revoked ? TimeText(key.revoked_seconds()) : "-"},
              v1::VERDICT_OK, -1);
  }
  const ViewOptions view = TerminalView();
  std::cout << table.Render(view.table_width(), view.color);
  return 0;
}

int Revoke(const Context& context, const Arguments& arguments) {
  v1::RevokeKeyRequest request;
  request.set_name(arguments.name);
  const auto reply = RevokeKey(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << "Revoked: " << arguments.name << " opens nothing any more.\n";
  return 0;
}

}  // namespace

Command::Run AddKey(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* key = app.add_subcommand("key", "keys of the HTTP API, for status pages and clients");
  key->require_subcommand(1);
  CLI::App* make = key->add_subcommand("new", "make a key");
  make->add_option("name", arguments->name, "what it is for")->required();
  make->add_flag("--read-only", arguments->read_only, "it may look and change nothing");
  make->add_flag("-q,--quiet", arguments->quiet, "print nothing but the key");
  CLI::App* list = key->add_subcommand("list", "every key, and when it was used last");
  CLI::App* revoke = key->add_subcommand("revoke", "end a key now");
  revoke->add_option("name", arguments->name, "its name")->required();
  return [&context, arguments, make, list, revoke] {
    if (make->parsed()) return New(context, *arguments);
    if (list->parsed()) return List(context);
    if (revoke->parsed()) return Revoke(context, *arguments);
    return kExitUsage;
  };
}

}  // namespace fleet::ctl
