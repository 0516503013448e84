#include "collector/web/updates.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "collector/web/html.h"
#include "collector/web/markdown.h"

namespace fleet::collector {

std::string RenderUpdates(absl::Span<const Announcement> announcements, absl::Time now,
                          absl::TimeZone zone) {
  std::string html;
  for (const Announcement& announcement : announcements) {
    if (announcement.resolved() && now - announcement.updated() > kResolvedShownFor) continue;
    absl::StrAppend(&html, "<article id=\"", announcement.id, "\">\n");
    for (auto update = announcement.updates.rbegin(); update != announcement.updates.rend();
         ++update) {
      std::string state(AnnouncementStateName(update->state));
      state[0] = absl::ascii_toupper(static_cast<unsigned char>(state[0]));
      absl::StrAppend(&html, "<p><strong>", state, "</strong> ", TimeElement(update->time, zone),
                      "</p>\n", MarkdownToHtml(update->text));
    }
    absl::StrAppend(&html, "</article>\n");
  }
  return html;
}

}  // namespace fleet::collector
