#include "collector/web/options.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::collector {

StatusPageOptions ReadStatusPage(const v1::CollectorConfig& config, ConfigLoader& loader) {
  const v1::StatusPageConfig& from = config.status_page();
  StatusPageOptions page;
  if (!from.title().empty()) page.title = from.title();
  page.description = from.description();
  page.url = from.url();
  if (!page.url.empty() && !absl::StartsWith(page.url, "https://") &&
      !absl::StartsWith(page.url, "http://")) {
    loader.AddProblem("status_page.url",
                      absl::StrCat(Quote(page.url), ": expected http://… or https://…"));
  }
  if (!from.timezone().empty() && !absl::LoadTimeZone(from.timezone(), &page.zone)) {
    loader.AddProblem("status_page.timezone",
                      absl::StrCat(Quote(from.timezone()),
                                   ": expected a time zone of this machine, such as Europe/Paris"));
  }
  return page;
}

}  // namespace fleet::collector
