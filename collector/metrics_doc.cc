#include "collector/metrics_doc.h"

#include "absl/strings/str_cat.h"
#include "collector/exposition.h"
#include "collector/probes/probe_series.h"
#include "collector/self_metrics.h"
#include "common/metric.h"

namespace fleet::collector {
namespace {

void AppendHeader(absl::string_view title, std::string& text) {
  absl::StrAppend(&text, "\n## ", title, "\n\n| metric | type | help |\n|---|---|---|\n");
}

void AppendRow(const MetricDesc& desc, std::string& text) {
  const bool histogram = desc.name == self::kProbeLag.name;
  absl::StrAppend(&text, "| `", desc.name, "` | ",
                  histogram ? "histogram" : MetricTypeName(desc.type), " | ", desc.help, " |\n");
}

}  // namespace

std::string RenderMetricsDoc() {
  std::string text;
  AppendHeader("The collector, of hosts and checks (/metrics)", text);
  for (const MetricDesc& desc : BuiltinMetrics()) AppendRow(desc, text);
  AppendHeader("The collector, of probes (/metrics)", text);
  for (const MetricDesc& desc : ProbeMetricDescs()) AppendRow(desc, text);
  AppendHeader("The collector, of itself (/metrics/self)", text);
  for (const MetricDesc* desc : self::Descriptors()) AppendRow(*desc, text);
  return text;
}

}  // namespace fleet::collector
