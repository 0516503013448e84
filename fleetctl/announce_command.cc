#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/escape.h"
#include "fleetctl/announce_client.h"
#include "fleetctl/command.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

struct Arguments {
  std::string text;
  std::string state;
  std::string update;
  bool list = false;
};

v1::AnnouncementState ToState(const std::string& name) {
  v1::AnnouncementState state = v1::ANNOUNCEMENT_STATE_UNSPECIFIED;
  v1::AnnouncementState_Parse(absl::StrCat("ANNOUNCEMENT_STATE_", absl::AsciiStrToUpper(name)),
                              &state);
  return state;
}

std::string StateName(v1::AnnouncementState state) {
  const std::string name = v1::AnnouncementState_Name(state);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "ANNOUNCEMENT_STATE_"));
}

std::string Minute(double unix_seconds) {
  return absl::FormatTime("%Y-%m-%d %H:%M", absl::UnixEpoch() + absl::Seconds(unix_seconds),
                          absl::UTCTimeZone());
}

int List(const Context& context) {
  const auto reply = FetchAnnouncements(context.client, v1::AnnounceListRequest());
  if (!reply.ok()) return Fail(reply.status());
  if (reply->announcements().empty()) {
    std::cout << "Nothing was announced.\n";
    return 0;
  }
  Table table({"ID", "STATE", "BEGUN (UTC)", "UPDATED (UTC)", "UPDATES", "TEXT"});
  for (const v1::Announcement& announcement : reply->announcements()) {
    if (announcement.updates().empty()) continue;
    const v1::Announcement::Update& first = *announcement.updates().begin();
    const v1::Announcement::Update& last = *announcement.updates().rbegin();
    table.Add({announcement.id(), StateName(last.state()), Minute(first.unix_seconds()),
               Minute(last.unix_seconds()), absl::StrCat(announcement.updates().size()),
               OneLine(first.text())},
              v1::VERDICT_OK, -1);
  }
  const ViewOptions view = TerminalView();
  std::cout << table.Render(view.table_width(), view.color);
  return 0;
}

int Run(const Context& context, Arguments arguments) {
  if (arguments.list) return List(context);
  if (arguments.text == "-") {
    arguments.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  absl::StatusOr<v1::Announcement> reply;
  if (arguments.update.empty()) {
    if (arguments.text.empty()) {
      return Fail(absl::InvalidArgumentError(
          "expected a text: fleetctl announce \"We are looking into slow uploads.\""));
    }
    v1::AnnouncePostRequest request;
    request.set_text(arguments.text);
    request.set_state(ToState(arguments.state));
    reply = PostAnnouncement(context.client, request);
  } else {
    v1::AnnounceUpdateRequest request;
    request.set_id(arguments.update);
    request.set_text(arguments.text);
    request.set_state(ToState(arguments.state));
    reply = UpdateAnnouncement(context.client, request);
  }
  if (!reply.ok()) return Fail(reply.status());
  const std::string state =
      reply->updates().empty() ? "" : StateName(reply->updates().rbegin()->state());
  std::cout << reply->id() << " is " << state << ", and on the status page.\n"
            << "More about it: fleetctl announce --update " << reply->id()
            << " [--state resolved] \"text\"\n";
  return 0;
}

}  // namespace

Command::Run AddAnnounce(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* announce = app.add_subcommand("announce", "tell the users, on the status page");
  announce->add_option("text", arguments->text, "Markdown; - reads it from stdin");
  announce
      ->add_option("--state", arguments->state, "investigating (default), or how far it is by now")
      ->check(CLI::IsMember({"investigating", "identified", "monitoring", "resolved"}));
  announce->add_option("--update", arguments->update, "ID of the announcement to add to");
  announce->add_flag("--list", arguments->list, "show what was announced");
  return [&context, arguments] { return Run(context, *arguments); };
}

}  // namespace fleet::ctl
