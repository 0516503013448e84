#include "collector/http/negotiate.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace fleet::collector {
namespace {

constexpr size_t kElementsMax = 64;

/// One element of a header list: "text/plain;version=0.0.4;q=0.5".
struct Element {
  absl::string_view name;
  absl::string_view version;
  double weight = 1;  // outside 0..1 or unreadable: 0, the element does not count
};

Element ParseElement(absl::string_view text) {
  Element element;
  bool first = true;
  for (absl::string_view part : absl::StrSplit(text, ';')) {
    part = absl::StripAsciiWhitespace(part);
    if (first) {
      element.name = part;
      first = false;
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (absl::EqualsIgnoreCase(halves.first, "q")) {
      if (!absl::SimpleAtod(halves.second, &element.weight) ||
          !(element.weight >= 0 && element.weight <= 1)) {
        element.weight = 0;
      }
    } else if (absl::EqualsIgnoreCase(halves.first, "version")) {
      element.version = halves.second;
    }
  }
  return element;
}

}  // namespace

bool WantsOpenMetrics(absl::string_view accept) {
  double open_metrics = 0;
  double text = 0;
  size_t count = 0;
  for (const absl::string_view part : absl::StrSplit(accept, ',')) {
    if (++count > kElementsMax) break;
    const Element element = ParseElement(part);
    if (absl::EqualsIgnoreCase(element.name, "application/openmetrics-text")) {
      const bool ours = element.version.empty() || element.version == "1.0.0";
      // Of two with the same weight the one named first is meant.
      if (ours && element.weight > open_metrics && element.weight > text) {
        open_metrics = element.weight;
      }
    } else if (absl::EqualsIgnoreCase(element.name, "text/plain") ||
               absl::EqualsIgnoreCase(element.name, "text/*") || element.name == "*/*") {
      if (element.weight > text) text = element.weight;
    }
  }
  return open_metrics > 0 && open_metrics >= text;
}

bool AcceptsGzip(absl::string_view accept_encoding) {
  double by_name = -1;
  double by_star = 0;
  size_t count = 0;
  for (const absl::string_view part : absl::StrSplit(accept_encoding, ',')) {
    if (++count > kElementsMax) break;
    const Element element = ParseElement(part);
    if (absl::EqualsIgnoreCase(element.name, "gzip") ||
        absl::EqualsIgnoreCase(element.name, "x-gzip")) {
      by_name = element.weight;
    } else if (element.name == "*") {
      by_star = element.weight;
    }
  }
  return (by_name >= 0 ? by_name : by_star) > 0;
}

}  // namespace fleet::collector
