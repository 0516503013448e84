#include "common/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/labels.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

int Badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return 0;
    case Verdict::kWarn:
      return 1;
    case Verdict::kUnknown:
      return 2;
    case Verdict::kCrit:
      return 3;
  }
  return 2;
}

}  // namespace

absl::string_view MetricTypeName(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kCounter:
      return "counter";
    case MetricType::kUntyped:
      return "untyped";
  }
  return "untyped";
}

absl::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kCrit:
      return "crit";
    case Verdict::kUnknown:
      return "unknown";
  }
  return "unknown";
}

absl::string_view UnknownKindName(UnknownKind kind) {
  switch (kind) {
    case UnknownKind::kNone:
      return "";
    case UnknownKind::kStuck:
      return "stuck";
    case UnknownKind::kBlind:
      return "blind";
    case UnknownKind::kError:
      return "error";
  }
  return "";
}

bool IsWorse(Verdict a, Verdict b) { return Badness(a) > Badness(b); }
Verdict Worse(Verdict a, Verdict b) { return IsWorse(a, b) ? a : b; }

void SampleSet::Clear() {
  families_.clear();
  descs_.clear();
  series_.clear();
  values_.clear();
  text_.clear();
  last_family_ = 0;
}

void SampleSet::SetValues(absl::Span<const double> values) {
  FLEET_ASSERT(values.size() == values_.size());
  std::copy(values.begin(), values.end(), values_.begin());
}

bool SampleSet::SameSeries(const SampleSet& other) const {
  if (families_.size() != other.families_.size() || series_.size() != other.series_.size() ||
      text_ != other.text_) {
    return false;
  }
  // Three whole numbers without padding.
  static_assert(sizeof(Series) == 3 * sizeof(uint32_t));
  if (!series_.empty() &&
      std::memcmp(series_.data(), other.series_.data(), series_.size() * sizeof(Series)) != 0) {
    return false;
  }
  for (size_t i = 0; i < families_.size(); ++i) {
    // A desc lasts as long as the program: the same one is the same family, or with a wildcard
    // the same but for its name.
    if (descs_[i] == nullptr || descs_[i] != other.descs_[i]) {
      if (families_[i] != other.families_[i]) return false;
    } else if (descs_[i]->name.back() == '*' && families_[i].name != other.families_[i].name) {
      return false;
    }
  }
  return true;
}

uint32_t SampleSet::FamilyIndex(const MetricDesc& desc, absl::string_view rest) {
  const bool wildcard = absl::EndsWith(desc.name, "*");
  if (!wildcard) {
    // Checks add one family after the other or round-robin over a few: look near the last first.
    for (size_t step = 0; step < descs_.size(); ++step) {
      const size_t i = (last_family_ + step) % descs_.size();
      if (descs_[i] == &desc) return static_cast<uint32_t>(i);
    }
    families_.push_back({std::string(desc.name), desc.type, std::string(desc.help)});
    descs_.push_back(&desc);
    return static_cast<uint32_t>(families_.size() - 1);
  }
  std::string name = absl::StrCat(absl::StripSuffix(desc.name, "*"), rest);
  for (size_t i = families_.size(); i-- > 0;) {
    if (families_[i].name == name) return static_cast<uint32_t>(i);
  }
  families_.push_back({std::move(name), desc.type, absl::StrReplaceAll(desc.help, {{"%s", rest}})});
  descs_.push_back(&desc);
  return static_cast<uint32_t>(families_.size() - 1);
}

void SampleSet::Append(uint32_t family, absl::Span<const Label> labels, double value) {
  const size_t begin = text_.size();
  AppendLabels(labels, text_);
  series_.push_back(
      {family, static_cast<uint32_t>(begin), static_cast<uint32_t>(text_.size() - begin)});
  values_.push_back(value);
  last_family_ = family;
}

void SampleSet::Add(const MetricDesc& desc, absl::Span<const Label> labels, double value) {
  FLEET_ASSERT(!absl::EndsWith(desc.name, "*"));
  Append(FamilyIndex(desc, ""), labels, value);
}

void SampleSet::AddNamed(const MetricDesc& desc, absl::string_view rest,
                         absl::Span<const Label> labels, double value) {
  FLEET_ASSERT(absl::EndsWith(desc.name, "*"));
  Append(FamilyIndex(desc, rest), labels, value);
}

void SampleSet::AddRaw(const Family& family, absl::string_view labels, double value) {
  size_t index = families_.size();
  for (size_t i = families_.size(); i-- > 0;) {
    if (families_[i].name == family.name) {
      index = i;
      break;
    }
  }
  if (index == families_.size()) {
    families_.push_back(family);
    descs_.push_back(nullptr);
  }
  series_.push_back({static_cast<uint32_t>(index), static_cast<uint32_t>(text_.size()),
                     static_cast<uint32_t>(labels.size())});
  text_.append(labels.data(), labels.size());
  values_.push_back(value);
  last_family_ = static_cast<uint32_t>(index);
}

std::vector<std::string> ExpositionLines(const SampleSet& samples) {
  std::vector<std::string> lines;
  lines.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    std::string line(samples.name(i));
    if (!samples.labels(i).empty()) absl::StrAppend(&line, "{", samples.labels(i), "}");
    line.push_back(' ');
    AppendValue(samples.values()[i], line);
    lines.push_back(std::move(line));
  }
  return lines;
}

void AppendValue(double value, std::string& out) {
  if (std::isnan(value)) {
    out.append("NaN");
    return;
  }
  if (std::isinf(value)) {
    out.append(value > 0 ? "+Inf" : "-Inf");
    return;
  }
  char buffer[32];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out.append(buffer, static_cast<size_t>(end.ptr - buffer));
}

}  // namespace fleet
