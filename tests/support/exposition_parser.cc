#include "tests/support/exposition_parser.h"

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/labels.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

[[noreturn]] void Fail(absl::string_view line) {
  std::fprintf(stderr, "cannot read exposition line: %s\n", std::string(line).c_str());
  std::abort();
}

/// Where the labels end: the brace after the last label, not one inside a value.
size_t LabelsEnd(absl::string_view line, size_t begin) {
  bool quoted = false;
  for (size_t i = begin; i < line.size(); ++i) {
    if (quoted && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == '}' && !quoted) {
      return i;
    }
  }
  Fail(line);
}

/// The family a sample belongs to: its own name, or that of a histogram or summary.
std::string FamilyOf(const Exposition& exposition, const std::string& name) {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    absl::string_view base = name;
    if (!absl::ConsumeSuffix(&base, suffix)) continue;
    const auto found = exposition.find(std::string(base));
    if (found != exposition.end() &&
        (found->second.type == "histogram" || found->second.type == "summary")) {
      return std::string(base);
    }
  }
  return name;
}

void ParseSample(absl::string_view line, Exposition& exposition) {
  const size_t name_end = line.find_first_of("{ ");
  if (name_end == absl::string_view::npos) Fail(line);
  const std::string name(line.substr(0, name_end));
  std::string labels;
  absl::string_view rest = line.substr(name_end);
  if (rest[0] == '{') {
    const size_t end = LabelsEnd(line, name_end + 1);
    labels = SortedLabels(absl::StripSuffix(line.substr(name_end + 1, end - name_end - 1), ","));
    rest = line.substr(end + 1);
  }
  const std::vector<absl::string_view> words = absl::StrSplit(rest, ' ', absl::SkipEmpty());
  double value = 0;
  if (words.empty() || !absl::SimpleAtod(words[0], &value)) Fail(line);
  const std::string family = FamilyOf(exposition, name);
  const std::string suffix = name.substr(family.size());
  exposition[family].series[suffix + labels] = value;
}

}  // namespace

std::string SortedLabels(absl::string_view labels) {
  auto parsed = ParseLabels(labels);
  if (!parsed.ok()) Fail(labels);
  std::sort(parsed->begin(), parsed->end());
  std::vector<Label> sorted;
  for (const auto& [name, value] : *parsed) sorted.push_back({name, value});
  std::string text;
  AppendLabels(sorted, text);
  return text;
}

Exposition ParseExposition(absl::string_view text) {
  Exposition exposition;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    const bool help = absl::ConsumePrefix(&line, "# HELP ");
    const bool type = !help && absl::ConsumePrefix(&line, "# TYPE ");
    if (help || type) {
      const std::pair<std::string, std::string> halves =
          absl::StrSplit(line, absl::MaxSplits(' ', 1));
      ExposedFamily& family = exposition[halves.first];
      (help ? family.help : family.type) = halves.second;
    } else if (!line.empty() && line[0] != '#') {
      ParseSample(line, exposition);
    }
  }
  return exposition;
}

}  // namespace fleet::test
