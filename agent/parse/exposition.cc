#include "agent/parse/exposition.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/labels.h"

namespace fleet::agent {
namespace {

constexpr size_t kLabelsMax = 64;
constexpr size_t kHelpBytesMax = 512;

void SkipBlanks(absl::string_view& text) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
}

/// Takes a name off `text`: letters, digits, '_' and (for metrics) ':'.
absl::string_view ConsumeName(absl::string_view& text) {
  size_t size = 0;
  while (size < text.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text[size])) ||
                                text[size] == '_' || text[size] == ':')) {
    ++size;
  }
  const absl::string_view name = text.substr(0, size);
  text.remove_prefix(size);
  return name;
}

/// Takes the rest of a quoted value and its closing quote off `text`.
bool ConsumeValue(absl::string_view& text, std::string& value) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
    if (text[i] != '\\') {
      value.push_back(text[i]);
      continue;
    }
    if (++i == text.size()) return false;
    value.push_back(text[i] == 'n' ? '\n' : text[i]);
  }
  return false;
}

/// Takes "{…}" off `text` and appends its labels to `labels`.
bool ConsumeLabels(absl::string_view& text, std::string& labels) {
  text.remove_prefix(1);
  std::vector<std::pair<absl::string_view, std::string>> pairs;
  while (true) {
    SkipBlanks(text);
    if (absl::ConsumePrefix(&text, "}")) break;
    const absl::string_view name = ConsumeName(text);
    if (name.empty() || absl::ascii_isdigit(static_cast<unsigned char>(name[0])) ||
        absl::StrContains(name, ':') || pairs.size() == kLabelsMax) {
      return false;
    }
    SkipBlanks(text);
    if (!absl::ConsumePrefix(&text, "=")) return false;
    SkipBlanks(text);
    std::string value;
    if (!absl::ConsumePrefix(&text, "\"") || !ConsumeValue(text, value)) return false;
    for (const auto& [other, unused] : pairs) {
      if (other == name) return false;
    }
    pairs.emplace_back(name, std::move(value));
    SkipBlanks(text);
    if (!absl::ConsumePrefix(&text, ",") && !absl::StartsWith(text, "}")) return false;
  }
  std::vector<Label> list;
  for (const auto& [name, value] : pairs) {
    if (!value.empty()) list.push_back({name, value});
  }
  AppendLabels(list, labels);
  return true;
}

MetricType TypeOf(absl::string_view word) {
  if (word == "gauge") return MetricType::kGauge;
  if (word == "counter") return MetricType::kCounter;
  return MetricType::kUntyped;
}

/// What the "# TYPE" and "# HELP" lines have said so far, by name.
class Descriptions {
 public:
  void Read(absl::string_view comment, absl::FunctionRef<bool(absl::string_view)> keep) {
    SkipBlanks(comment);
    const bool type = absl::ConsumePrefix(&comment, "TYPE ");
    if (!type && !absl::ConsumePrefix(&comment, "HELP ")) return;
    SkipBlanks(comment);
    const absl::string_view name = ConsumeName(comment);
    if (!keep(name)) return;
    ExpositionFamily& family = families_[name];
    const absl::string_view rest = absl::StripAsciiWhitespace(comment);
    if (type) {
      family.type = TypeOf(rest);
    } else {
      family.help = OneLine(rest, kHelpBytesMax);
    }
  }
  ExpositionFamily Find(absl::string_view name) const {
    const auto found = families_.find(name);
    ExpositionFamily family = found == families_.end() ? ExpositionFamily{} : found->second;
    family.name = std::string(name);
    return family;
  }

 private:
  absl::flat_hash_map<absl::string_view, ExpositionFamily> families_;
};

}  // namespace

absl::StatusOr<Exposition> ParseExposition(absl::string_view text,
                                           absl::FunctionRef<bool(absl::string_view)> keep,
                                           size_t samples_max) {
  Exposition exposition;
  Descriptions descriptions;
  absl::flat_hash_map<absl::string_view, size_t> indices;
  for (const absl::string_view whole : absl::StrSplit(text, '\n')) {
    absl::string_view line = absl::StripAsciiWhitespace(whole);
    if (line.empty()) continue;
    if (absl::ConsumePrefix(&line, "#")) {
      descriptions.Read(line, keep);
      continue;
    }
    const auto bad = [whole](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat(why, " in ", Quote(whole)));
    };
    const absl::string_view name = ConsumeName(line);
    if (!IsMetricName(name)) return bad("no metric name");
    if (!keep(name)) continue;
    if (exposition.samples.size() >= samples_max) {
      ++exposition.dropped;
      continue;
    }
    ExpositionSample sample;
    SkipBlanks(line);
    if (absl::StartsWith(line, "{") && !ConsumeLabels(line, sample.labels)) {
      return bad("bad labels");
    }
    SkipBlanks(line);
    if (!absl::SimpleAtod(line.substr(0, line.find_first_of(" \t")), &sample.value)) {
      return bad("no value");
    }
    const auto [index, added] = indices.try_emplace(name, exposition.families.size());
    if (added) exposition.families.push_back(descriptions.Find(name));
    sample.family = index->second;
    exposition.samples.push_back(std::move(sample));
  }
  return exposition;
}

}  // namespace fleet::agent
