#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/units.h"
#include "fleetctl/status_view.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

struct Advice {
  absl::string_view check;
  absl::string_view text;
};

/// What a person does next, by check. One line each; {host} is filled in.
constexpr Advice kAdvice[] = {
    {"clock", "Look at `timedatectl` and `chronyc tracking` (or `ntpq -p`) there."},
    {"cpu", "See who runs: `top`, `ps -eo pcpu,pid,user,args --sort=-pcpu | head`."},
    {"disk",
     "Find what grew: `df -h`, `df -i`, `du -xh --max-depth=2 MOUNT | sort -h | tail`. File system "
     "errors: `dmesg -T | grep -i ext4`. Limits: checks.disk in agent.yaml."},
    {"kernel", "Look at `dmesg -T | tail` and `cat /proc/sys/fs/file-nr` there."},
    {"load", "See who waits: `ps -eo state,pid,args | grep '^[RD]'`, `vmstat 1 5`."},
    {"memory",
     "See who holds it: `ps -eo rss,pid,user,args --sort=-rss | head`; killed ones: `journalctl -k "
     "-g 'Killed process'`."},
    {"minio", "Look at `journalctl -u minio -n 50` there, and at the disk below its data."},
    {"network", "Look at `ip -s link` and `dmesg -T | grep -i link` there."},
    {"postgres",
     "Look at `SELECT * FROM pg_stat_activity WHERE state <> 'idle'` and the server's log. For "
     "unknown: blind run the lines in the reason as a superuser."},
    {"raid",
     "Look at `cat /proc/mdstat` and `mdadm --detail /dev/mdX`. Replace the named disk, then "
     "`mdadm "
     "/dev/mdX --remove detached` and `mdadm /dev/mdX --add /dev/NEW`."},
    {"redis",
     "Look at `redis-cli info`, `redis-cli --latency`, and `journalctl -u redis-server -n 50`."},
    {"sidekiq",
     "Is a worker of that queue running? Look at its unit or container, and at /sidekiq in "
     "Mastodon. A queue that nobody serves: start a process with `-q QUEUE`."},
    {"systemd", "Look at `systemctl --failed` and `journalctl -u UNIT -n 50` there."},
    {"tinc",
     "Look at `systemctl status tinc@NET` and `journalctl -u tinc@NET -n 50` on both ends; is the "
     "other machine up at its public address, and port 655 open for TCP and UDP?"},
};

std::string AdviceFor(const v1::CheckStatus& check) {
  if (!check.caused_by().empty()) {
    return absl::StrCat("Look at the cause first: fleetctl explain ", check.caused_by());
  }
  if (check.unknown() == v1::UNKNOWN_KIND_BLIND) {
    return "The agent lacks a right; the reason names the line that grants it.";
  }
  for (const Advice& advice : kAdvice) {
    if (advice.check == check.name()) return std::string(advice.text);
  }
  return "";
}

std::string Ago(double seconds) {
  return seconds < 0 ? "never" : absl::StrCat(HumanDuration(absl::Seconds(seconds)), " ago");
}

/// "label   text", wrapped under itself.
void AppendField(absl::string_view label, absl::string_view text, size_t width, std::string& out) {
  if (text.empty()) return;
  constexpr size_t kLabelColumns = 14;
  const std::string wrapped = Wrap(text, width, std::string(kLabelColumns, ' '));
  absl::StrAppend(&out, Fit(label, kLabelColumns), wrapped.substr(kLabelColumns));
}

}  // namespace

std::string RenderExplanation(const v1::StatusReply& reply, absl::string_view host_name,
                              absl::string_view check_name, const ViewOptions& options) {
  const auto host = std::find_if(reply.hosts().begin(), reply.hosts().end(),
                                 [&](const auto& h) { return h.name() == host_name; });
  if (host == reply.hosts().end()) return "";
  const auto check = std::find_if(host->checks().begin(), host->checks().end(),
                                  [&](const auto& c) { return c.name() == check_name; });
  std::string out;
  if (check == host->checks().end()) {
    const bool absent =
        std::find(host->absent().begin(), host->absent().end(), check_name) != host->absent().end();
    if (!absent) return "";
    return absl::StrCat(host_name, "/", check_name,
                        ": absent. It was never configured and never seen on this host; it counts "
                        "for nothing.\n");
  }
  const std::string verdict = VerdictText(check->verdict(), check->unknown());
  absl::StrAppend(&out, host_name, "/", check_name, ": ",
                  Paint(verdict, check->verdict(), options.color), check->stale() ? " (stale)" : "",
                  "\n\n");
  const size_t width = options.width;
  AppendField("reason", check->reason(), width, out);
  AppendField("follows from", check->caused_by(), width, out);
  AppendField("last result",
              absl::StrCat(Ago(check->age_seconds()), ", took ",
                           HumanDuration(absl::Seconds(check->duration_seconds())),
                           check->success() ? "" : ", the run failed"),
              width, out);
  AppendField("last success", Ago(check->last_success_age_seconds()), width, out);
  const double next = check->interval_seconds() - check->age_seconds();
  AppendField(
      "next run",
      absl::StrCat(next > 0 ? absl::StrCat("in ", HumanDuration(absl::Seconds(next)))
                            : absl::StrCat("overdue for ", HumanDuration(absl::Seconds(-next))),
                   ", every ", HumanDuration(absl::Seconds(check->interval_seconds()))),
      width, out);
  if (!host->up())
    AppendField("host", absl::StrCat("silent since ", Ago(host->age_seconds())), width, out);
  if (check->verdict() != v1::VERDICT_OK) AppendField("what to do", AdviceFor(*check), width, out);
  if (!check->items().empty()) absl::StrAppend(&out, "\n");
  for (const v1::ItemStatus& item : check->items()) {
    const std::string word = VerdictText(item.verdict(), item.unknown());
    absl::StrAppend(&out, "  ", Paint(word, item.verdict(), options.color), "  ", item.name(),
                    "\n");
    absl::StrAppend(&out, Wrap(item.reason(), width, "      "));
    if (!item.caused_by().empty())
      absl::StrAppend(&out, "      follows from ", item.caused_by(), "\n");
  }
  return out;
}

}  // namespace fleet::ctl
