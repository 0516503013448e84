#include "collector/web/render.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "collector/web/atom.h"
#include "collector/web/badge.h"
#include "collector/web/status_page.h"
#include "collector/web/statuspage_json.h"
#include "collector/web/updates.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kEtagBytes = 12;
constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kJson = "application/json; charset=utf-8";
constexpr const char* kSvg = "image/svg+xml";
constexpr const char* kAtom = "application/atom+xml; charset=utf-8";

enum Kind { kLasting = 0, kHasValidity = 1, kPublished = 2 };

std::shared_ptr<const WebFile> MakeFile(const char* content_type, std::string body, int kind) {
  auto file = std::make_shared<WebFile>();
  file->content_type = content_type;
  file->etag = absl::StrCat("\"", absl::BytesToHexString(Sha256(body).substr(0, kEtagBytes)), "\"");
  file->body = std::move(body);
  file->has_validity = (kind & kHasValidity) != 0;
  file->published = (kind & kPublished) != 0;
  return file;
}

}  // namespace

WebFiles RenderFiles(const StatusModel& model) {
  WebFiles files;
  files.generated_at = model.generated_at;
  const auto add = [&files](const std::string& name, const char* content_type, std::string body,
                            int kind) {
    files.by_name[name] = MakeFile(content_type, std::move(body), kind);
  };
  add("index.html", kHtml, RenderStatusPage(model), kHasValidity | kPublished);
  add("updates.html", kHtml,
      RenderUpdates(model.announcements, model.generated_at, model.page.zone), kPublished);
  add("status.atom", kAtom, RenderAtom(model), kPublished);
  add("status.json", kJson, StatusJson(model), kHasValidity | kPublished);
  add("summary.json", kJson, SummaryJson(model), kHasValidity | kPublished);
  // Where consumers of Statuspage look, below the address of a page.
  files.by_name["api/v2/status.json"] = files.by_name["status.json"];
  files.by_name["api/v2/summary.json"] = files.by_name["summary.json"];
  add("api/v2/components.json", kJson, ComponentsJson(model), kHasValidity);
  add("api/v2/incidents.json", kJson, IncidentsJson(model, false), kHasValidity);
  add("api/v2/incidents/unresolved.json", kJson, IncidentsJson(model, true), kHasValidity);
  for (const char* name :
       {"api/v2/scheduled-maintenances.json", "api/v2/scheduled-maintenances/upcoming.json",
        "api/v2/scheduled-maintenances/active.json"}) {
    add(name, kJson, MaintenancesJson(model), kHasValidity);
  }
  add("badge.svg", kSvg, OverallBadge(model), kHasValidity);
  for (const Component& component : model.components) {
    add(absl::StrCat("badge/", component.token, ".svg"), kSvg, ComponentBadge(component, model),
        kHasValidity);
    add(absl::StrCat("badge/", component.token, "/uptime.svg"), kSvg, UptimeBadge(component),
        kLasting);
  }
  return files;
}

}  // namespace fleet::collector
