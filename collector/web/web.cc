#include "collector/web/web.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/web/status_model.h"
#include "collector/web/status_page.h"
#include "collector/web/updates.h"
#include "common/log.h"
#include "common/x509_issue.h"

namespace fleet::collector {
namespace {

constexpr size_t kEtagBytes = 12;

std::shared_ptr<const WebFile> MakeFile(std::string content_type, std::string body,
                                        bool has_validity) {
  auto file = std::make_shared<WebFile>();
  file->content_type = std::move(content_type);
  file->etag = absl::StrCat("\"", absl::BytesToHexString(Sha256(body).substr(0, kEtagBytes)), "\"");
  file->body = std::move(body);
  file->has_validity = has_validity;
  return file;
}

}  // namespace

Web::Web(const Parts& parts) : parts_(parts) {
  Render();
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

Web::~Web() = default;

void Web::Changed() {
  MutexLock lock(mutex_);
  changed_ = true;
  wake_.notify_all();
}

bool Web::Run(std::function<bool()> job, std::function<void()> done) {
  MutexLock lock(mutex_);
  if (jobs_.size() >= kJobsMax) return false;
  jobs_.push_back({std::move(job), std::move(done)});
  wake_.notify_all();
  return true;
}

std::shared_ptr<const WebFiles> Web::files() const {
  MutexLock lock(mutex_);
  return files_;
}

void Web::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::deque<Job> jobs;
    {
      MutexLock lock(mutex_);
      const auto something = [this] { return changed_ || !jobs_.empty(); };
      parts_.clock.WaitUntil(mutex_, wake_, stop, SteadyAfter(rendered_at_, kRenderEvery),
                             something);
      // What comes thick waits for the gap; what somebody waits for does not.
      parts_.clock.WaitUntil(mutex_, wake_, stop, SteadyAfter(rendered_at_, kRenderGapMin),
                             [this] { return !jobs_.empty(); });
      if (stop.stop_requested()) return;
      changed_ = false;
      jobs.swap(jobs_);
    }
    for (const Job& job : jobs) {
      if (job.work()) Render();
      job.done();
    }
    if (jobs.empty()) Render();
  }
}

void Web::Render() {
  rendered_at_ = parts_.clock.SteadyNow();
  auto files = std::make_shared<WebFiles>();
  files->generated_at = parts_.clock.Now();
  const auto announcements = parts_.announcements.List(AnnouncementStore::kAnnouncementsMax);
  if (!announcements.ok()) {
    log::Warning("the announcements cannot be read",
                 {{"error", std::string(announcements.status().message())}});
    MutexLock lock(mutex_);
    if (files_ == nullptr) files_ = files;
    return;
  }
  const StatusModel model =
      CollectStatus(parts_.page, parts_.probes, *announcements, files->generated_at, kValidFor);
  files->by_name["index.html"] =
      MakeFile("text/html; charset=utf-8", RenderStatusPage(model), true);
  files->by_name["updates.html"] =
      MakeFile("text/html; charset=utf-8",
               RenderUpdates(*announcements, files->generated_at, parts_.page.zone), false);
  MutexLock lock(mutex_);
  files_ = std::move(files);
}

HttpResponse Web::Serve(const HttpRequest& request, const std::string& name) const {
  const std::shared_ptr<const WebFiles> files = this->files();
  const auto found = files->by_name.find(name);
  HttpResponse response;
  if (found == files->by_name.end()) {
    response.status = 404;
    response.body = "no such page\n";
    return response;
  }
  const WebFile& file = *found->second;
  response.content_type = file.content_type;
  response.headers = {{"Cache-Control", "no-cache"},
                      {"ETag", file.etag},
                      {"Access-Control-Allow-Origin", "*"},
                      {"Access-Control-Expose-Headers", "Date"},
                      {"X-Content-Type-Options", "nosniff"}};
  const absl::string_view known = request.header("if-none-match");
  if (known == "*" || absl::StrContains(known, file.etag)) {
    response.status = 304;
  } else {
    response.body = file.body;
  }
  return response;
}

std::vector<Routes::Route> Web::Paths() {
  const auto file = [this](std::string name) {
    return
        [this, name = std::move(name)](const HttpRequest& request) { return Serve(request, name); };
  };
  const auto page = [this](const HttpRequest& request) {
    HttpResponse response = Serve(request, "index.html");
    response.headers.emplace_back("Content-Security-Policy",
                                  absl::StrCat(StatusPagePolicy(), "; frame-ancestors 'none'"));
    response.headers.emplace_back("Referrer-Policy", "no-referrer");
    return response;
  };
  return {
      {"/status", "the page for everybody: what is published", page},
      {"/updates.html", "what the users are told, as a piece of HTML", file("updates.html")},
  };
}

}  // namespace fleet::collector
