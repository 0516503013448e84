#include "agent/parse/softnet.h"

#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kCpusMax = 8192;
constexpr size_t kCpuColumn = 12;

bool ParseLine(absl::string_view line, SoftnetCpu& cpu) {
  uint32_t* const columns[] = {&cpu.processed, &cpu.dropped, &cpu.times_squeezed};
  for (uint32_t* const column : columns) {
    if (!ParseInteger(NextWord(line), *column, 16)) return false;
  }
  absl::string_view word;
  for (size_t i = 3; i <= kCpuColumn; ++i) word = NextWord(line);
  return word.empty() || ParseInteger(word, cpu.cpu, 16);
}

}  // namespace

absl::StatusOr<std::vector<SoftnetCpu>> ParseSoftnet(absl::string_view text) {
  std::vector<SoftnetCpu> cpus;
  absl::string_view line;
  while (NextLine(text, line)) {
    if (cpus.size() == kCpusMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kCpusMax, " CPUs"));
    }
    SoftnetCpu cpu;
    cpu.cpu = static_cast<uint32_t>(cpus.size());
    if (!ParseLine(line, cpu)) {
      return absl::InvalidArgumentError(absl::StrCat("no counters in ", Quote(line)));
    }
    cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace fleet::agent
