// fleet-families FILE: writes what every check declares as the table that the collector is built
// with, so that name, type and help of a family are written down once, beside the code that emits
// it. The file is left alone when nothing changed.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/checks.h"

namespace fleet::agent {
namespace {

absl::string_view TypeConstant(MetricType type) {
  switch (type) {
    case MetricType::kGauge:
      return "kGauge";
    case MetricType::kCounter:
      return "kCounter";
    case MetricType::kUntyped:
      return "kUntyped";
  }
  return "kUntyped";
}

std::string RenderTable() {
  std::vector<std::string> lines;
  for (const CheckSpec& spec : AllChecks()) {
    const auto check = spec.make({HostFs("/nonexistent"), {}, "", ""});
    for (const MetricDesc& desc : check->metrics()) {
      // What minio says of itself comes with types and help of its own.
      if (absl::StartsWith(desc.name, "minio_") && absl::EndsWith(desc.name, "*")) continue;
      lines.push_back(absl::StrCat("{\"", desc.name, "\", MetricType::", TypeConstant(desc.type),
                                   ", \"", absl::CEscape(desc.help), "\"},\n"));
    }
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, line);
  return text;
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fleet-families FILE\n";
    return 64;
  }
  const std::string table = RenderTable();
  std::ifstream in(argv[1], std::ios::binary);
  if (in && table == std::string(std::istreambuf_iterator<char>(in), {})) return 0;
  std::ofstream out(argv[1], std::ios::binary);
  out << table;
  return out.flush().good() ? 0 : 1;
}

}  // namespace
}  // namespace fleet::agent

int main(int argc, char** argv) { return fleet::agent::Main(argc, argv); }
