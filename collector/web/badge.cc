#include "collector/web/badge.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "collector/web/html.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

constexpr int kHeight = 20;
constexpr int kPadding = 6;
constexpr int kCharacterTenths = 66;  // of a pixel, on average, in an 11 pixel sans
constexpr size_t kTextBytesMax = 60;

/// White on these has a contrast of at least 4.5.
absl::string_view Ground(absl::string_view tone) {
  if (tone == "ok") return "#116329";
  if (tone == "warn") return "#8a5a00";
  if (tone == "bad") return "#b31d28";
  return "#57606a";
}

int WidthOf(absl::string_view text) {
  int characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return characters * kCharacterTenths / 10;
}

/// `textLength` makes the text as wide as it was guessed, whatever font there is.
std::string Text(absl::string_view text, int x) {
  return absl::StrCat("<text x=\"", x, "\" y=\"14\" textLength=\"", WidthOf(text), "\">",
                      Escaped(text), "</text>");
}

std::string Badge(absl::string_view label_text, absl::string_view message, absl::string_view tone) {
  const std::string label = OneLine(label_text, kTextBytesMax);
  const int left = WidthOf(label) + 2 * kPadding;
  const int right = WidthOf(message) + 2 * kPadding;
  const std::string title = absl::StrCat(Escaped(label), ": ", Escaped(message));
  return absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", left + right, "\" height=\"", kHeight,
      "\" role=\"img\" aria-label=\"", title, "\"><title>", title,
      "</title><clipPath id=\"r\"><rect width=\"", left + right, "\" height=\"", kHeight,
      "\" rx=\"3\"/></clipPath><g clip-path=\"url(#r)\"><rect width=\"", left, "\" height=\"",
      kHeight, "\" fill=\"#32383f\"/><rect x=\"", left, "\" width=\"", right, "\" height=\"",
      kHeight, "\" fill=\"", Ground(tone),
      "\"/></g><g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">",
      Text(label, kPadding), Text(message, left + kPadding), "</g></svg>\n");
}

std::string AtMinute(absl::string_view words, const StatusModel& model) {
  return absl::StrCat(words, " ", ClockText(model.generated_at, model.page.zone));
}

}  // namespace

std::string ComponentBadge(const Component& component, const StatusModel& model) {
  return Badge(component.name, AtMinute(ComponentStateText(component.state), model),
               ToneOf(component.state));
}

std::string UptimeBadge(const Component& component) {
  const std::optional<double> uptime = UptimeOf(component);
  const std::string label = absl::StrCat(component.name, " uptime");
  if (!uptime.has_value()) return Badge(label, "not known", "none");
  return Badge(label, absl::StrCat(PercentText(*uptime), " in ", StatusModel::kDays, " days"),
               *uptime >= 99.9 ? "ok"
               : *uptime >= 99 ? "warn"
                               : "bad");
}

std::string OverallBadge(const StatusModel& model) {
  const Overall overall = OverallOf(model);
  return Badge(model.page.title, AtMinute(absl::AsciiStrToLower(overall.text), model),
               overall.tone);
}

}  // namespace fleet::collector
