#include "collector/web/atom.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "collector/web/html.h"
#include "collector/web/markdown.h"
#include "common/units.h"

namespace fleet::collector {
namespace {

struct Entry {
  std::string id;  // the end of its tag
  std::string title;
  absl::Time published;
  absl::Time updated;
  std::string html;
  std::string anchor;
};

/// Whose tags they are (RFC 4151): the host of the page's address.
std::string Authority(const StatusModel& model) {
  absl::string_view rest = model.page.url;
  if (!absl::ConsumePrefix(&rest, "https://")) absl::ConsumePrefix(&rest, "http://");
  const std::string host = std::string(rest.substr(0, rest.find_first_of("/:?#")));
  return host.empty() ? "fleet.invalid" : absl::AsciiStrToLower(host);
}

Entry DowntimeEntry(const Downtime& downtime, const std::string& name, bool partial,
                    const StatusModel& model) {
  const bool over = downtime.ended_at.has_value();
  const std::string down = partial ? "partly down" : "down";
  Entry entry;
  entry.id = absl::StrCat("downtime/", downtime.id);
  entry.title = over ? absl::StrCat(name, " was ", down, " for ",
                                    HumanDuration(*downtime.ended_at - downtime.started_at))
                     : absl::StrCat(name, " is ", down);
  entry.published = downtime.started_at;
  entry.updated = downtime.ended_at.value_or(downtime.started_at);
  entry.anchor = absl::StrCat("c-", downtime.token);
  entry.html = absl::StrCat("<p>Down since ", TimeElement(downtime.started_at, model.page.zone));
  if (over) {
    absl::StrAppend(&entry.html, ", up again since ",
                    TimeElement(*downtime.ended_at, model.page.zone));
  }
  absl::StrAppend(&entry.html, ". ", Escaped(downtime.error), "</p>");
  if (!downtime.caused_by.empty()) {
    absl::StrAppend(&entry.html, "<p>Cause: <code>", Escaped(downtime.caused_by), "</code></p>");
  }
  return entry;
}

Entry AnnouncementEntry(const Announcement& announcement, const StatusModel& model) {
  Entry entry;
  entry.id = absl::StrCat("announcement/", announcement.id);
  entry.title = announcement.Title();
  entry.published = announcement.created();
  entry.updated = announcement.updated();
  entry.anchor = absl::StrCat("a-", announcement.id);
  for (auto update = announcement.updates.rbegin(); update != announcement.updates.rend();
       ++update) {
    absl::StrAppend(&entry.html, "<p><strong>", AnnouncementStateName(update->state), "</strong>, ",
                    TimeElement(update->time, model.page.zone), "</p>",
                    MarkdownToHtml(update->text));
  }
  return entry;
}

std::vector<Entry> Entries(const StatusModel& model) {
  std::vector<Entry> entries;
  for (const Component& component : model.components) {
    if (!component.downtime.has_value()) continue;
    entries.push_back(DowntimeEntry(*component.downtime, component.name,
                                    component.state == ComponentState::kPartial, model));
  }
  for (const ShownDowntime& shown : model.past) {
    entries.push_back(
        DowntimeEntry(shown.downtime, shown.name, shown.downtime.partial.value_or(false), model));
  }
  for (const Announcement& announcement : model.announcements) {
    entries.push_back(AnnouncementEntry(announcement, model));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.updated > b.updated; });
  return entries;
}

}  // namespace

std::string RenderAtom(const StatusModel& model) {
  const std::vector<Entry> entries = Entries(model);
  const std::string tag = absl::StrCat("tag:", Escaped(Authority(model)), ",2026:");
  const std::string url = Escaped(model.page.url);
  std::string xml = absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed "
      "xmlns=\"http://www.w3.org/2005/Atom\">\n<id>",
      tag, "status</id>\n<title>", Escaped(model.page.title), "</title>\n<author><name>",
      Escaped(model.page.title), "</name></author>\n<updated>",
      IsoTime(entries.empty() ? absl::UnixEpoch() : entries.front().updated), "</updated>\n");
  if (!url.empty()) absl::StrAppend(&xml, "<link rel=\"alternate\" href=\"", url, "\"/>\n");
  for (const Entry& entry : entries) {
    absl::StrAppend(&xml, "<entry>\n<id>", tag, Escaped(entry.id), "</id>\n<title>",
                    Escaped(entry.title), "</title>\n<published>", IsoTime(entry.published),
                    "</published>\n<updated>", IsoTime(entry.updated), "</updated>\n");
    if (!url.empty()) {
      absl::StrAppend(&xml, "<link rel=\"alternate\" href=\"", url, "#", Escaped(entry.anchor),
                      "\"/>\n");
    }
    absl::StrAppend(&xml, "<content type=\"html\">", Escaped(entry.html), "</content>\n</entry>\n");
  }
  absl::StrAppend(&xml, "</feed>\n");
  return xml;
}

}  // namespace fleet::collector
