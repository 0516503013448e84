#include "common/report.h"

#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"

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
