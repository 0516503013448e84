#include "agent/tinc_presence.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/tinc_hook.h"
#include "agent/tinc_hook.h"

namespace fleet::agent {
namespace {

/// Seconds that the wall clock's boot time and a file's change time may disagree.
constexpr absl::Duration kClockSlack = absl::Seconds(2);
/// A first event so soon after tincd's start says that the hook was there from the start.
constexpr absl::Duration kEarly = absl::Seconds(60);

enum class Hook { kNone, kLate, kFromStart };

/// Whether host-up runs our hook, and did when tincd started.
Hook FindHook(const HostFs& fs, const TincNet& net, const TincDaemon& daemon) {
  const std::string path = absl::StrCat("etc/tinc/", net.net, "/host-up");
  const auto script = fs.Read(path, 1 << 16);
  if (!script.ok() || !absl::StrContains(*script, "tinc-hook")) return Hook::kNone;
  struct stat status {};
  // The link's own time, where it is one: what it points to changes with every update.
  if (::lstat(fs.Path(path).c_str(), &status) != 0 || !daemon.start_time) return Hook::kLate;
  // ctime, because installing a packaged file keeps the mtime it was built with.
  const absl::Time changed = absl::TimeFromTimespec(status.st_ctim);
  return changed <= *daemon.start_time + kClockSlack ? Hook::kFromStart : Hook::kLate;
}

}  // namespace

std::string TincHookStatePath(const TincOptions& options) {
  return options.hook_state.empty() ? kTincHookStatePath : options.hook_state;
}

std::string OurUserName() {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return absl::StrCat(::geteuid());
}

TincPresence ReadTincPresence(const HostFs& fs, const TincOptions& options, const TincNet& net,
                              const TincDaemon& daemon) {
  TincPresence presence;
  const std::string path = TincHookStatePath(options);
  const auto text = fs.Read(path);
  const auto state = text.ok() ? ParseTincHook(*text) : text.status();
  Hook hook = FindHook(fs, net, daemon);
  if (!state.ok() && !absl::IsNotFound(state.status())) {
    presence.why_blind = absl::StrCat("cannot read ", path, ": ", state.status().message());
    return presence;
  }
  const std::string boot_id = fs.ReadTrimmed("proc/sys/kernel/random/boot_id").value_or("");
  if (state.ok()) {
    for (const TincHookEvent& event : state->events) {
      const bool ours =
          event.net == net.net || (event.net == "-" && event.interface == net.interface);
      if (!ours || event.boot_id != boot_id || event.since_boot < daemon.started) continue;
      if (event.since_boot < daemon.started + kEarly) hook = Hook::kFromStart;
      if (event.up) {
        presence.nodes.insert(event.node);
        presence.addresses[event.node] = event.address;
      } else {
        presence.nodes.erase(event.node);
        presence.addresses.erase(event.node);
      }
    }
  }
  presence.complete = hook == Hook::kFromStart;
  const std::string restart = absl::StrCat("systemctl restart tinc@", net.net);
  if (hook == Hook::kLate) {
    presence.why_blind = absl::StrCat(
        "who is on the VPN is known only in part: host-up is newer than tincd's start; run: ",
        restart);
  } else if (hook == Hook::kNone) {
    presence.why_blind = absl::StrCat(
        "who is on the VPN is not visible; run: install -m 755 /usr/share/fleet/tinc/host-up "
        "/usr/share/fleet/tinc/host-down /etc/tinc/",
        net.net, "/ && ", restart);
  }
  return presence;
}

}  // namespace fleet::agent
