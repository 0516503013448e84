#include "agent/link_verdicts.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

/// A link must have had carrier for so long before losing it is news.
constexpr absl::Duration kSteadyAfter = absl::Minutes(10);
/// After so long without carrier a link is one that nobody uses any more.
constexpr absl::Duration kForgetLostAfter = absl::Hours(24 * 7);

std::string HumanSpeed(int64_t megabits) {
  return megabits >= 1000 ? absl::StrFormat("%g Gbit/s", static_cast<double>(megabits) / 1000)
                          : absl::StrCat(megabits, " Mbit/s");
}

/// "no carrier", … for a link that is not working; empty for one that is.
std::string WhyDown(const Link& link) {
  if (!link.admin_up) return "set down";
  if (!link.has_carrier()) return "no carrier";
  // "down" and "lowerlayerdown" follow the carrier with a delay, and links made by software (tun,
  // loopback) never say more than "unknown": only what a carrier cannot tell counts.
  if (link.operstate == "dormant" || link.operstate == "testing") return link.operstate;
  return "";
}

std::string Describe(const Link& link) {
  if (const std::string why = WhyDown(link); !why.empty()) return why;
  if (link.speed_megabits.value_or(-1) <= 0) return "up";
  return absl::StrCat("up, ", HumanSpeed(*link.speed_megabits),
                      link.duplex == "half" ? ", half duplex" : "");
}

/// What a run remembers of a link: since when it has carrier, and since when it lacks it.
class LinkMemory {
 public:
  LinkMemory(CheckMemory& memory, absl::string_view name)
      : memory_(memory),
        carrier_(absl::StrCat("carrier ", name)),
        lost_(absl::StrCat("lost ", name)) {}

  void Up(absl::Time now) {
    if (memory_.Find(carrier_) == nullptr) Set(carrier_, now);
    memory_.Erase(lost_);
  }
  void Forget() {
    memory_.Erase(carrier_);
    memory_.Erase(lost_);
  }
  /// How long the carrier has been missing, when that is news.
  std::optional<absl::Duration> Lost(absl::Time now) {
    const std::optional<absl::Time> carrier = Get(carrier_);
    std::optional<absl::Time> lost = Get(lost_);
    if (!lost && carrier && now - *carrier >= kSteadyAfter) {
      Set(lost_, now);
      lost = now;
    }
    if (!lost || now - *lost > kForgetLostAfter) {
      Forget();
      return std::nullopt;
    }
    return std::max(absl::ZeroDuration(), now - *lost);
  }

 private:
  void Set(const std::string& key, absl::Time at) {
    memory_.Set(key, absl::StrCat(absl::ToUnixSeconds(at)));
  }
  std::optional<absl::Time> Get(const std::string& key) const {
    const std::string* text = memory_.Find(key);
    int64_t seconds = 0;
    if (text == nullptr || !absl::SimpleAtoi(*text, &seconds)) return std::nullopt;
    return absl::FromUnixSeconds(seconds);
  }

  CheckMemory& memory_;
  const std::string carrier_;
  const std::string lost_;
};

std::vector<std::string> RememberedLinks(const CheckMemory& memory) {
  std::vector<std::string> names;
  for (const auto& [key, value] : memory.entries()) {
    absl::string_view name = key;
    if (absl::ConsumePrefix(&name, "carrier ")) names.emplace_back(name);
  }
  return names;
}

}  // namespace

void JudgeLinks(const std::vector<Link>& links, absl::Span<const std::string> expect_up,
                CheckRun& run) {
  const auto find = [&links](absl::string_view name) {
    return std::find_if(links.begin(), links.end(),
                        [name](const Link& link) { return link.name == name; });
  };
  const auto is_expected = [expect_up](absl::string_view name) {
    return std::find(expect_up.begin(), expect_up.end(), name) != expect_up.end();
  };
  for (const std::string& name : expect_up) {
    const auto link = find(name);
    const std::string why = link == links.end() ? "no such link" : WhyDown(*link);
    run.AddItem(name, why.empty() ? Verdict::kOk : Verdict::kCrit,
                why.empty() ? Describe(*link) : absl::StrCat(why, ", but must be up"));
  }
  std::vector<std::string> up;
  for (const Link& link : links) {
    if (!link.physical) continue;
    LinkMemory memory(run.memory(), link.name);
    std::optional<absl::Duration> lost;
    if (link.has_carrier()) {
      memory.Up(run.now());
      up.push_back(absl::StrCat(link.name, " ", Describe(link)));
    } else if (!link.admin_up) {
      memory.Forget();  // whoever set it down knows
    } else {
      lost = memory.Lost(run.now());
    }
    if (is_expected(link.name)) continue;
    run.AddItem(
        link.name, lost ? Verdict::kWarn : Verdict::kOk,
        lost ? absl::StrCat("lost its carrier ", HumanDuration(*lost), " ago") : Describe(link));
  }
  for (const std::string& name : RememberedLinks(run.memory())) {
    if (find(name) != links.end()) continue;
    const std::optional<absl::Duration> lost = LinkMemory(run.memory(), name).Lost(run.now());
    if (!lost || is_expected(name)) continue;
    run.AddItem(name, Verdict::kWarn,
                absl::StrCat("the link disappeared ", HumanDuration(*lost), " ago"));
  }
  if (!up.empty()) run.SetReason(absl::StrJoin(up, "; "));
}

}  // namespace fleet::agent
