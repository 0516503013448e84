#include "collector/web/status_page.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "collector/web/html.h"
#include "collector/web/markdown.h"
#include "common/units.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kBuildBytes = 6;
constexpr double kBarWidth = 4;  // of which the style leaves a quarter as gap
constexpr double kSparkHeight = 30;
/// A reason is one line of somebody else's error.
constexpr size_t kReasonBytesMax = 300;

std::string HashSource(absl::string_view text) {
  return absl::StrCat("'sha256-", absl::Base64Escape(Sha256(text)), "'");
}

/// "as of 16:50 UTC, void after 16:55": what stands beside every verdict.
std::string AsOf(const StatusModel& model) {
  return absl::StrCat("as of ", ClockText(model.generated_at, model.page.zone), ", void after ",
                      absl::FormatTime("%H:%M", model.valid_until, model.page.zone));
}

std::string Day(absl::Time time, const StatusModel& model) {
  return absl::FormatTime("%-d %b", time, model.page.zone);
}

absl::string_view ToneOfDay(const std::optional<double>& percent) {
  if (!percent.has_value()) return "none";
  if (*percent >= 99.95) return "ok";
  return *percent >= 98 ? "warn" : "bad";
}

std::string Bars(const Component& component, const StatusModel& model) {
  const size_t days = component.daily.size();
  std::optional<double> worst;
  std::string rects;
  for (size_t i = 0; i < days; ++i) {
    const std::optional<double>& percent = component.daily[i];
    if (percent.has_value()) worst = std::min(worst.value_or(100), *percent);
    // Days are UTC's, as they were counted.
    const absl::Time day =
        model.generated_at - absl::Hours(24 * static_cast<int64_t>(days - 1 - i));
    const absl::string_view tone = ToneOfDay(percent);
    absl::StrAppend(&rects, "<rect", tone == "ok" ? "" : absl::StrCat(" class=\"", tone, "\""),
                    " x=\"", static_cast<double>(i) * kBarWidth, "\"><title>",
                    absl::FormatTime("%-d %b %Y", day, absl::UTCTimeZone()), ": ",
                    percent.has_value() ? PercentText(*percent) : "not known", "</title></rect>");
  }
  const std::optional<double> uptime = UptimeOf(component);
  const std::string mean = uptime.has_value() ? PercentText(*uptime) : "not known";
  std::string html = absl::StrCat(
      "<svg class=\"bars\" role=\"img\" viewBox=\"0 0 ", static_cast<double>(days) * kBarWidth - 1,
      " 32\" preserveAspectRatio=\"none\" aria-label=\"uptime of ", days, " days: ", mean,
      worst.has_value() ? absl::StrCat(", worst day ", PercentText(*worst)) : "", "\">", rects,
      "</svg>\n<p class=\"legend\"><span>");
  const absl::Time first = model.generated_at - absl::Hours(24 * static_cast<int64_t>(days - 1));
  absl::StrAppend(&html, absl::FormatTime("%-d %b", first, absl::UTCTimeZone()),
                  "</span><span>uptime <strong>", mean, "</strong></span><span>",
                  absl::FormatTime("%-d %b", model.generated_at, absl::UTCTimeZone()),
                  "</span></p>\n");
  return html;
}

std::string Sparkline(const Component& component) {
  double sum = 0;
  double most = 0;
  int known = 0;
  for (const std::optional<double>& millis : component.response_millis) {
    if (!millis.has_value()) continue;
    sum += *millis;
    most = std::max(most, *millis);
    ++known;
  }
  if (known == 0) return "";
  const double scale = most > 0 ? (kSparkHeight - 2) / most : 0;
  std::string path;
  bool drawn = false;
  for (size_t i = 0; i < component.response_millis.size(); ++i) {
    const std::optional<double>& millis = component.response_millis[i];
    if (millis.has_value()) {
      // A lone point is a line of no length, which a round cap makes visible.
      absl::StrAppendFormat(&path, "%s%d %.1f%s", drawn ? "L" : "M", i,
                            kSparkHeight - 1 - *millis * scale, drawn ? "" : "h0");
    }
    drawn = millis.has_value();
  }
  const std::string words = absl::StrFormat(
      "response %.0f ms on average, %.0f ms at most%s", sum / known, most,
      component.apdex.has_value() ? absl::StrFormat(", apdex %.2f", *component.apdex) : "");
  // One point is no line.
  if (known < 2) return absl::StrCat("<div class=\"response\"><span>", words, "</span></div>\n");
  return absl::StrCat(
      "<div class=\"response\"><svg role=\"img\" viewBox=\"0 0 ",
      component.response_millis.size() - 1, " ", kSparkHeight,
      "\" preserveAspectRatio=\"none\" aria-label=\"response time by hour of one day\"><path d=\"",
      path, "\"/></svg><span>", words, " (", StatusModel::kHours, " h)</span></div>\n");
}

std::string Cause(absl::string_view caused_by) {
  return caused_by.empty() ? "" : absl::StrCat(" Cause: <code>", Escaped(caused_by), "</code>.");
}

std::string Reason(absl::string_view text) {
  return Escaped(text.substr(0, std::min(text.size(), kReasonBytesMax)));
}

std::string ComponentItem(const Component& component, const StatusModel& model) {
  std::string html = absl::StrCat("<li class=\"card\" id=\"c-", Escaped(component.token),
                                  "\">\n<div class=\"line\"><h3>", Escaped(component.name),
                                  "</h3><span class=\"verdict ", ToneOf(component.state),
                                  "\" data-verdict>", ComponentStateText(component.state),
                                  "</span></div>\n<p class=\"asof\">", AsOf(model), "</p>\n");
  if (!component.reason.empty() || !component.caused_by.empty()) {
    absl::StrAppend(&html, "<p class=\"why\">", Reason(component.reason));
    if (component.since != absl::InfinitePast()) {
      absl::StrAppend(&html, component.reason.empty() ? "" : ", ", "since ",
                      TimeElement(component.since, model.page.zone));
    }
    absl::StrAppend(&html, ".", Cause(component.caused_by), "</p>\n");
  }
  absl::StrAppend(&html, Bars(component, model), Sparkline(component), "</li>\n");
  return html;
}

std::string Components(const StatusModel& model) {
  if (model.components.empty()) return "";
  std::string html = "<h2>Components</h2>\n<ul class=\"plain components\">\n";
  for (const Component& component : model.components) {
    absl::StrAppend(&html, ComponentItem(component, model));
  }
  absl::StrAppend(&html, "</ul>\n");
  if (model.components_left_out > 0) {
    absl::StrAppend(&html, "<p class=\"meta\">", model.components_left_out,
                    " more are not shown.</p>\n");
  }
  return html;
}

std::string AnnouncementCard(const Announcement& announcement, const StatusModel& model) {
  std::string html = absl::StrCat("<article class=\"card\" id=\"a-", announcement.id, "\">\n");
  for (auto update = announcement.updates.rbegin(); update != announcement.updates.rend();
       ++update) {
    absl::StrAppend(&html, "<div class=\"said\"><p class=\"meta\"><span class=\"state\">",
                    AnnouncementStateName(update->state), "</span> · ",
                    TimeElement(update->time, model.page.zone), "</p>\n",
                    MarkdownToHtml(update->text), "</div>\n");
  }
  absl::StrAppend(&html, "</article>\n");
  return html;
}

std::string Announcements(const StatusModel& model, bool resolved) {
  std::string html;
  for (const Announcement& announcement : model.announcements) {
    if (announcement.resolved() != resolved) continue;
    if (html.empty()) {
      html = resolved ? "<h2>Earlier announcements</h2>\n" : "<h2>Announcements</h2>\n";
    }
    absl::StrAppend(&html, AnnouncementCard(announcement, model));
  }
  return html;
}

std::string CurrentDowntimes(const StatusModel& model) {
  std::string html;
  for (const Component& component : model.components) {
    if (component.since == absl::InfinitePast()) continue;
    absl::StrAppend(&html, "<li class=\"goes-on\"><strong>", Escaped(component.name),
                    "</strong> has been ",
                    component.state == ComponentState::kPartial ? "partly down" : "down", " since ",
                    TimeElement(component.since, model.page.zone), ", for ",
                    HumanDuration(std::max(model.generated_at - component.since, absl::Seconds(1))),
                    ".<br>", Reason(component.reason), component.reason.empty() ? "" : ".",
                    Cause(component.caused_by), "<p class=\"asof\">", AsOf(model), "</p></li>\n");
  }
  return html;
}

std::string PastDowntimes(const StatusModel& model) {
  std::string html;
  for (const ShownDowntime& shown : model.past) {
    const Downtime& downtime = shown.downtime;
    absl::StrAppend(&html, "<li><strong>", Escaped(shown.name), "</strong> was ",
                    downtime.partial.value_or(false) ? "partly down" : "down", " for ",
                    HumanDuration(*downtime.ended_at - downtime.started_at),
                    "<br><span class=\"meta\">", TimeElement(downtime.started_at, model.page.zone),
                    "</span> ", Reason(downtime.error), downtime.error.empty() ? "" : ".",
                    Cause(downtime.caused_by), "</li>\n");
  }
  return html;
}

std::string Downtimes(const StatusModel& model) {
  if (model.components.empty()) return "";
  const std::string current = CurrentDowntimes(model);
  const std::string past = PastDowntimes(model);
  std::string html;
  if (!current.empty()) {
    absl::StrAppend(&html, "<h2>Down</h2>\n<ul class=\"plain rows\">\n", current, "</ul>\n");
  }
  absl::StrAppend(&html, "<h2>Past downtimes</h2>\n");
  if (past.empty()) {
    absl::StrAppend(&html, "<p class=\"meta\">None in the ", StatusModel::kDays, " days before ",
                    Day(model.generated_at, model), ".</p>\n");
  } else {
    absl::StrAppend(&html, "<ul class=\"plain rows\">\n", past, "</ul>\n");
  }
  if (model.past_left_out > 0) {
    absl::StrAppend(&html, "<p class=\"meta\">", model.past_left_out, " older ones are left out.",
                    "</p>\n");
  }
  return html;
}

const std::string& Build() {
  static const auto* const kBuild = new std::string(absl::BytesToHexString(
      Sha256(absl::StrCat(kStatusPageStyle, kStatusPageScript)).substr(0, kBuildBytes)));
  return *kBuild;
}

std::string Head(const StatusModel& model) {
  const std::string title = Escaped(model.page.title);
  return absl::StrCat(
      "<!doctype html>\n<html lang=\"en\" data-build=\"", Build(),
      "\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"",
      StatusPagePolicy(),
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
      title, "</title>\n<meta name=\"description\" content=\"", Escaped(model.page.description),
      "\">\n<link rel=\"alternate\" type=\"application/atom+xml\" title=\"", title,
      "\" href=\"status.atom\">\n<link rel=\"icon\" href=\"data:,\">\n"
      "<noscript><meta http-equiv=\"refresh\" content=\"60\"></noscript>\n<style>",
      kStatusPageStyle, "</style>\n</head>\n");
}

}  // namespace

absl::string_view StatusPagePolicy() {
  static const auto* const kPolicy = new std::string(
      absl::StrCat("default-src 'none'; style-src ", HashSource(kStatusPageStyle), "; script-src ",
                   HashSource(kStatusPageScript),
                   "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"));
  return *kPolicy;
}

std::string RenderStatusPage(const StatusModel& model) {
  const Overall overall = OverallOf(model);
  const absl::TimeZone zone = model.page.zone;
  std::string html =
      absl::StrCat(Head(model), "<body>\n<main id=\"page\" data-made=\"",
                   absl::ToUnixSeconds(model.generated_at), "\" data-until=\"",
                   absl::ToUnixSeconds(model.valid_until), "\" data-said=\"",
                   Escaped(absl::FormatTime("%H:%M %Z on %-d %b %Y", model.generated_at, zone)),
                   "\">\n<header><h1>", Escaped(model.page.title), "</h1>\n");
  if (!model.page.description.empty()) {
    absl::StrAppend(&html, "<p>", Escaped(model.page.description), "</p>\n");
  }
  absl::StrAppend(&html, "</header>\n<section class=\"overall ", overall.tone,
                  "\" data-verdict>\n<h2 class=\"word\">", overall.text,
                  "</h2>\n<p class=\"asof\">", AsOf(model), " (",
                  absl::FormatTime("%-d %B %Y", model.generated_at, zone),
                  ")</p>\n<p class=\"age\"></p>\n</section>\n");
  if (!model.problem.empty()) {
    absl::StrAppend(&html, "<p class=\"meta\">Note: ", Escaped(model.problem), ".</p>\n");
  }
  absl::StrAppend(&html, Announcements(model, false), Components(model), Downtimes(model),
                  Announcements(model, true),
                  "<footer><p><a href=\"status.atom\">Feed</a> of downtimes and announcements. "
                  "Times are ",
                  Escaped(absl::FormatTime("%Z", model.generated_at, zone)),
                  "; days of uptime are UTC.</p></footer>\n</main>\n<script>", kStatusPageScript,
                  "</script>\n</body>\n</html>\n");
  return html;
}

}  // namespace fleet::collector
