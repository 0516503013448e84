#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "fleetctl/command.h"

namespace fleet::ctl {

absl::Span<const Command> Commands() {
  static constexpr Command kCommands[] = {
      {AddStatus}, {AddExplain}, {AddHosts},    {AddProbes},     {AddDowntimes}, {AddHistory},
      {AddEvents}, {AddExport},  {AddAnnounce}, {AddEnroll},     {AddJoin},      {AddRevoke},
      {AddRetire}, {AddCa},      {AddKey},      {AddCompletion}, {AddComplete},
  };
  return kCommands;
}

std::string Environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr && *value != '\0' ? value : otherwise;
}

ViewOptions TerminalView() {
  ViewOptions view;
  winsize size = {};
  view.cut = ::isatty(STDOUT_FILENO) == 1;
  if (view.cut) {
    view.color = Environment("NO_COLOR", "").empty() && Environment("TERM", "dumb") != "dumb";
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
      view.width = size.ws_col;
  }
  int columns = 0;
  if (absl::SimpleAtoi(Environment("COLUMNS", ""), &columns) && columns >= 40) {
    view.width = static_cast<size_t>(columns);
    view.cut = true;
  }
  return view;
}

int Fail(const absl::Status& status) {
  std::cerr << "fleetctl: " << status.message() << "\n";
  if (absl::IsNotFound(status) || absl::IsInvalidArgument(status)) return kExitUsage;
  return kExitUnreachable;
}

v1::StatusRequest RequestFor(const std::string& target) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(target, absl::MaxSplits('/', 1));
  v1::StatusRequest request;
  request.set_host(parts.first);
  request.set_check(parts.second.substr(0, parts.second.find('/')));
  return request;
}

}  // namespace fleet::ctl
