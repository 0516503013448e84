#include "agent/tinc_net.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kHostsMax = 4096;
constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kProblemsMax = 20;

/// tinc's own reading of "Name = $HOST": the host's name, odd characters as '_'.
std::string ExpandName(const HostFs& fs, const std::string& name) {
  if (!absl::StartsWith(name, "$")) return name;
  // Another variable stands in tincd's environment, which is not ours to see.
  if (name != "$HOST") return "";
  std::string host = fs.ReadTrimmed("proc/sys/kernel/hostname").value_or("");
  for (char& c : host) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return host;
}

void ReadHosts(const HostFs& fs, const std::string& folder, TincNet& net) {
  const auto names = fs.List(folder);
  if (!names.ok()) {
    net.problems.push_back(std::string(names.status().message()));
    return;
  }
  for (const std::string& name : *names) {
    // NAME-up and NAME-down are scripts; editors leave NAME~.
    if (!IsTincNodeName(name)) continue;
    if (net.hosts.size() >= kHostsMax || net.problems.size() >= kProblemsMax) return;
    const auto text = fs.Read(absl::StrCat(folder, "/", name), kFileBytesMax);
    const auto host = text.ok() ? ParseTincConfig(*text) : text.status();
    if (!host.ok()) {
      net.problems.push_back(absl::StrCat("hosts/", name, ": ", host.status().message()));
    }
    // One that cannot be read still names a peer.
    (name == net.name ? net.own : net.hosts[name]) = host.ok() ? *host : TincConfig{};
  }
}

/// Field 22 of /proc/PID/stat, in clock ticks since boot. The command before it may hold blanks.
absl::Duration StartedSinceBoot(absl::string_view stat) {
  const size_t end = stat.rfind(')');
  if (end == absl::string_view::npos) return absl::ZeroDuration();
  const std::vector<absl::string_view> words =
      absl::StrSplit(stat.substr(end + 1), ' ', absl::SkipEmpty());
  int64_t ticks = 0;
  if (words.size() < 20 || !absl::SimpleAtoi(words[19], &ticks)) return absl::ZeroDuration();
  return absl::Seconds(static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

std::optional<absl::Time> BootTime(const HostFs& fs) {
  const auto stat = fs.Read("proc/stat");
  if (!stat.ok()) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*stat, '\n')) {
    int64_t seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") && absl::SimpleAtoi(line, &seconds)) {
      return absl::FromUnixSeconds(seconds);
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> TincNetNames(const HostFs& fs, const TincOptions& options) {
  return TincNetNames(fs, options, fs.List("etc/tinc").value_or(std::vector<std::string>()));
}

std::vector<std::string> TincNetNames(const HostFs& fs, const TincOptions& options,
                                      const std::vector<std::string>& listed) {
  if (!options.net.empty()) return {options.net};
  std::vector<std::string> nets;
  for (const std::string& name : listed) {
    if (fs.Exists(absl::StrCat("etc/tinc/", name, "/tinc.conf"))) nets.push_back(name);
  }
  return nets;
}

absl::StatusOr<TincNet> ReadTincNet(const HostFs& fs, absl::string_view name) {
  const std::string folder = absl::StrCat("etc/tinc/", name);
  FLEET_ASSIGN_OR_RETURN(const std::string text,
                         fs.Read(absl::StrCat(folder, "/tinc.conf"), kFileBytesMax));
  TincNet net;
  net.net = std::string(name);
  auto config = ParseTincConfig(text);
  if (!config.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("/", folder, "/tinc.conf: ", config.status().message()));
  }
  net.config = *std::move(config);
  net.name = ExpandName(fs, net.config.name);
  net.interface = net.config.interface.empty() ? net.net : net.config.interface;
  ReadHosts(fs, absl::StrCat(folder, "/hosts"), net);
  return net;
}

TincDaemon ReadTincDaemon(const HostFs& fs, absl::string_view net) {
  TincDaemon daemon;
  const std::string path = absl::StrCat("run/tinc.", net, ".pid");
  const auto text = fs.Read(path, 4096);
  if (absl::IsNotFound(text.status())) {
    daemon.problem = absl::StrCat("no /", path);
    return daemon;
  }
  if (!text.ok()) {
    daemon.state = TincDaemon::State::kHidden;
    daemon.problem = std::string(text.status().message());
    return daemon;
  }
  auto pid = ParseTincPid(*text);
  if (!pid.ok()) {
    daemon.problem = absl::StrCat("/", path, ": ", pid.status().message());
    return daemon;
  }
  daemon.pid = *std::move(pid);
  const std::string process = absl::StrCat("proc/", daemon.pid.pid);
  const auto command = fs.ReadTrimmed(absl::StrCat(process, "/comm"));
  if (!command.ok()) {
    // With hidepid the process of another user is not shown, yet a signal 0 tells that it is there.
    if (fs.live() && ::kill(daemon.pid.pid, 0) != 0 && errno == EPERM) {
      daemon.state = TincDaemon::State::kHidden;
      daemon.problem = absl::StrCat("/", process, " is hidden from us");
      return daemon;
    }
    daemon.problem = absl::StrCat("no process ", daemon.pid.pid, ", which /", path, " names");
    return daemon;
  }
  if (!absl::StartsWith(*command, "tinc")) {
    daemon.problem = absl::StrCat("process ", daemon.pid.pid, " of /", path, " is ",
                                  Quote(*command, 20), ", not tincd");
    return daemon;
  }
  daemon.state = TincDaemon::State::kRunning;
  daemon.started = StartedSinceBoot(fs.Read(absl::StrCat(process, "/stat")).value_or(""));
  if (const auto boot = BootTime(fs)) daemon.start_time = *boot + daemon.started;
  return daemon;
}

bool IsTincNetEnabled(const HostFs& fs, absl::string_view net) {
  for (const absl::string_view target :
       {"tinc.service.wants", "multi-user.target.wants", "network-online.target.wants"}) {
    if (fs.ReadLink(absl::StrCat("etc/systemd/system/", target, "/tinc@", net, ".service")).ok()) {
      return true;
    }
  }
  for (absl::string_view line : absl::StrSplit(fs.Read("etc/tinc/nets.boot").value_or(""), '\n')) {
    if (absl::StripAsciiWhitespace(line) == net) return true;
  }
  return false;
}

}  // namespace fleet::agent
