#include "agent/parse/stat.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/parse/text.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kCpusMax = 8192;
constexpr size_t kCpuColumnsMin = 4;  // user, nice, system, idle: Linux 2.4

absl::Status Malformed(absl::string_view line) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read ", Quote(line)));
}

bool ParseCpuLine(absl::string_view name, absl::string_view rest, CpuTicks& cpu) {
  if (!name.empty() && !ParseInteger(name, cpu.cpu)) return false;
  for (size_t i = 0; i < kCpuModes; ++i) {
    const absl::string_view word = NextWord(rest);
    if (word.empty()) return i >= kCpuColumnsMin;
    if (!ParseInteger(word, cpu.ticks[i])) return false;
  }
  return true;
}

uint64_t* Counter(Stat& stat, absl::string_view name) {
  if (name == "intr") return &stat.interrupts;
  if (name == "ctxt") return &stat.context_switches;
  if (name == "processes") return &stat.forks;
  if (name == "procs_running") return &stat.procs_running;
  if (name == "procs_blocked") return &stat.procs_blocked;
  return nullptr;
}

}  // namespace

absl::StatusOr<Stat> ParseStat(absl::string_view text) {
  Stat stat;
  bool any_cpu = false;
  absl::string_view line;
  while (NextLine(text, line)) {
    absl::string_view rest = line;
    absl::string_view name = NextWord(rest);
    if (absl::ConsumePrefix(&name, "cpu")) {
      if (stat.cpus.size() == kCpusMax) {
        return absl::InvalidArgumentError(absl::StrCat("more than ", kCpusMax, " CPUs"));
      }
      CpuTicks& cpu = name.empty() ? stat.all : stat.cpus.emplace_back();
      if (!ParseCpuLine(name, rest, cpu)) return Malformed(line);
      any_cpu = true;
    } else if (name == "btime") {
      int64_t seconds = 0;
      if (!ParseInteger(NextWord(rest), seconds) || seconds < 0) return Malformed(line);
      stat.boot = absl::FromUnixSeconds(seconds);
    } else if (uint64_t* const counter = Counter(stat, name); counter != nullptr) {
      if (!ParseInteger(NextWord(rest), *counter)) return Malformed(line);
    }
  }
  if (!any_cpu) return absl::InvalidArgumentError("no cpu line");
  return stat;
}

absl::StatusOr<int> CountCpuList(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  const auto malformed = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a CPU list such as 0-3,8, got ", Quote(text)));
  };
  int count = 0;
  do {
    const size_t comma = rest.find(',');
    const absl::string_view range = rest.substr(0, comma);
    rest.remove_prefix(comma == absl::string_view::npos ? rest.size() : comma + 1);
    const size_t dash = range.find('-');
    uint16_t first = 0;
    uint16_t last = 0;
    if (!ParseInteger(range.substr(0, dash), first)) return malformed();
    last = first;
    if (dash != absl::string_view::npos && !ParseInteger(range.substr(dash + 1), last)) {
      return malformed();
    }
    if (last < first || count > std::numeric_limits<uint16_t>::max()) return malformed();
    count += last - first + 1;
  } while (!rest.empty());
  return count;
}

}  // namespace fleet::agent
