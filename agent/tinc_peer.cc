#include "agent/tinc_peer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr size_t kRtts = 5;
constexpr int kSilentRunsWarn = 2;
constexpr int kSilentRunsCrit = 3;
constexpr int kBigLostRunsWarn = 3;
constexpr int kRunsWithoutEchoMax = 3;
constexpr size_t kLostMin = 3;  // one lost packet is no news, nor are two
constexpr size_t kSentMinForWarn = 10;
constexpr size_t kSentMinForCrit = 20;

absl::string_view PathText(const TincPeerView& view) {
  switch (view.path) {
    case TincPath::kDirect:
      return view.path_inferred ? "direct (inferred)" : "direct";
    case TincPath::kTcp:
      return view.path_inferred ? "relayed over TCP (inferred)" : "relayed over TCP";
    case TincPath::kRelayed:
      return "relayed by another node";
    default:
      return "";
  }
}

void Append(absl::string_view part, std::string& text) {
  if (part.empty()) return;
  absl::StrAppend(&text, text.empty() ? "" : ", ", part);
}

std::string LossText(const TincPeerHistory& history) {
  return absl::StrCat(history.window_lost(), " of ", history.window_sent(), " packets lost");
}

std::string ReachableText(const TincPeerView& view) {
  const TincPeerHistory& history = *view.history;
  std::string text(PathText(view));
  if (const auto rtt = history.rtt()) Append(HumanDuration(*rtt), text);
  if (history.window_lost() >= kLostMin) Append(LossText(history), text);
  if (!history.has_echo()) Append("no agent's echo there", text);
  return text;
}

TincPeerVerdict JudgeUnprobed(const TincPeerView& view) {
  if (!view.daemon_up) return {Verdict::kCrit, UnknownKind::kNone, "no path: tincd is down"};
  if (view.present.has_value() && !*view.present) {
    return {Verdict::kCrit, UnknownKind::kNone, "not on the VPN"};
  }
  std::string reason(PathText(view));
  Append(absl::StrCat("not probed: ", view.why_not_probed), reason);
  if (view.present.has_value()) return {Verdict::kOk, UnknownKind::kNone, reason};
  return {Verdict::kUnknown, UnknownKind::kBlind, reason};
}

TincPeerVerdict JudgeSilent(const TincPeerView& view, SteadyTime now) {
  const TincPeerHistory& history = *view.history;
  const int runs = history.silent_runs();
  std::string since;
  if (runs > 1) {
    since = absl::StrCat(" for ", HumanDuration(now - history.silent_since()));
  }
  if (history.last().unreachable) {
    return {Verdict::kCrit, UnknownKind::kNone,
            absl::StrCat("unreachable", since, ": tincd has no path to it")};
  }
  if (runs >= kSilentRunsCrit || !history.ever_reachable()) {
    return {Verdict::kCrit, UnknownKind::kNone, absl::StrCat("no answer", since)};
  }
  return {runs >= kSilentRunsWarn ? Verdict::kWarn : Verdict::kOk, UnknownKind::kNone,
          runs >= kSilentRunsWarn ? absl::StrCat("no answer", since)
                                  : "no answer this time, it may be one lost packet"};
}

TincPeerVerdict JudgeReachable(const TincPeerView& view, const TincOptions& options) {
  const TincPeerHistory& history = *view.history;
  TincPeerVerdict verdict{Verdict::kOk, UnknownKind::kNone, ReachableText(view)};
  const auto worse = [&](Verdict to, absl::string_view reason) {
    if (IsWorse(to, verdict.verdict)) verdict = {to, UnknownKind::kNone, std::string(reason)};
  };
  const size_t lost = history.window_lost();
  const double loss = history.window_sent() == 0
                          ? 0
                          : static_cast<double>(lost) / static_cast<double>(history.window_sent());
  const std::string loss_text = absl::StrCat(HumanPercent(loss), " loss (", LossText(history), ")");
  if (lost >= kLostMin && loss >= options.loss_crit_ratio &&
      history.window_sent() >= kSentMinForCrit) {
    worse(Verdict::kCrit, loss_text);
  }
  if (history.big_lost_runs() >= kBigLostRunsWarn) {
    worse(Verdict::kWarn,
          absl::StrCat("small packets pass, big ones do not (", history.last().big_packet_bytes,
                       " bytes): the path's MTU is smaller than it says"));
  }
  if (lost >= kLostMin && loss >= options.loss_warn_ratio &&
      history.window_sent() >= kSentMinForWarn) {
    worse(Verdict::kWarn, loss_text);
  }
  if (const auto rtt = history.rtt(); rtt && *rtt >= absl::Seconds(options.rtt_warn_seconds)) {
    worse(Verdict::kWarn, absl::StrCat("round trip ", HumanDuration(*rtt), ", limit ",
                                       HumanDuration(absl::Seconds(options.rtt_warn_seconds))));
  }
  return verdict;
}

}  // namespace

void TincPeerHistory::Add(const TincProbeResult& result, SteadyTime now) {
  last_ = result;
  if (result.echo) {
    has_echo_ = true;
    runs_without_echo_ = 0;
  } else if (result.reachable() && ++runs_without_echo_ >= kRunsWithoutEchoMax) {
    has_echo_ = false;
  }
  if (result.reachable()) {
    // An outage that is over was an outage, not a lossy link.
    if (silent_runs_ >= kSilentRunsCrit || unreachable_) {
      const auto outage = std::min<size_t>(static_cast<size_t>(silent_runs_), window_.size());
      window_.erase(window_.end() - static_cast<std::ptrdiff_t>(outage), window_.end());
    }
    ever_reachable_ = true;
    silent_runs_ = 0;
    unreachable_ = false;
  } else {
    if (silent_runs_++ == 0) silent_since_ = now;
    unreachable_ = unreachable_ || result.unreachable;
  }
  if (!result.sent.ok() && !result.reachable()) return;  // nothing went out, so nothing was lost

  // A TCP connect sends its SYN again: where an echo answers, it does not excuse a lost packet.
  const bool lost = has_echo_ ? !result.small.has_value() : !result.reachable();
  ++small_.sent;
  if (lost) ++small_.lost;
  window_.push_back(lost);
  if (window_.size() > kWindow) window_.pop_front();
  if (const auto rtt = result.small ? result.small : result.tcp) {
    rtts_.push_back(*rtt);
    if (rtts_.size() > kRtts) rtts_.pop_front();
  }
  if (!has_echo_ || result.big_packet_bytes == 0) {
    big_lost_runs_ = 0;
    return;
  }
  ++big_.sent;
  if (!result.big) ++big_.lost;
  if (result.big) {
    big_lost_runs_ = 0;
  } else if (result.small) {
    ++big_lost_runs_;
  }
}

size_t TincPeerHistory::window_lost() const {
  return static_cast<size_t>(std::count(window_.begin(), window_.end(), true));
}

std::optional<absl::Duration> TincPeerHistory::rtt() const {
  if (rtts_.empty()) return std::nullopt;
  std::vector<absl::Duration> sorted(rtts_.begin(), rtts_.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

TincPeerVerdict JudgeTincPeer(const TincPeerView& view, const TincOptions& options,
                              SteadyTime now) {
  const bool reachable = view.probed && view.history->last().reachable();
  if (!view.required) {
    if (reachable) return {Verdict::kOk, UnknownKind::kNone, ReachableText(view)};
    return {Verdict::kOk, UnknownKind::kNone,
            view.present.value_or(false) ? "on the VPN, does not answer"
                                         : "not connected, may come and go"};
  }
  if (!view.probed) return JudgeUnprobed(view);
  if (!view.history->last().sent.ok() && !reachable) {
    return {Verdict::kUnknown, UnknownKind::kError,
            absl::StrCat("cannot probe: ", view.history->last().sent.message())};
  }
  return reachable ? JudgeReachable(view, options) : JudgeSilent(view, now);
}

}  // namespace fleet::agent
