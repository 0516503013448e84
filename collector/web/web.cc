#include "collector/web/web.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/http/cors.h"
#include "collector/http/error_answer.h"
#include "collector/http/packing.h"
#include "collector/web/render.h"
#include "collector/web/status_model.h"
#include "collector/web/status_page.h"
#include "common/log.h"

namespace fleet::collector {
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

std::shared_ptr<const WebFiles> Web::WaitForNext(uint64_t seen, const std::stop_token& stop) {
  MutexLock lock(mutex_);
  rendered_.wait(mutex_, stop,
                 [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return files_->number > seen; });
  return files_;
}

void Web::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::deque<Job> jobs;
    {
      MutexLock lock(mutex_);
      const auto something = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return changed_ || !jobs_.empty();
      };
      parts_.clock.WaitUntil(mutex_, wake_, stop, SteadyAfter(rendered_at_, kRenderEvery),
                             something);
      // What comes thick waits for the gap; what somebody waits for does not.
      parts_.clock.WaitUntil(mutex_, wake_, stop, SteadyAfter(rendered_at_, kRenderGapMin),
                             [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !jobs_.empty(); });
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
  const absl::Time now = parts_.clock.Now();
  const auto announcements = parts_.announcements.List(AnnouncementStore::kAnnouncementsMax);
  StatusModel model = CollectStatus(
      parts_.page, parts_.probes, announcements.ok() ? *announcements : std::vector<Announcement>(),
      now, parts_.valid_for);
  if (!announcements.ok()) {
    log::Warning("the announcements cannot be read",
                 {{"error", std::string(announcements.status().message())}});
    model.problem = "the announcements could not be read";
  }
  auto files = std::make_shared<WebFiles>(RenderFiles(model));
  MutexLock lock(mutex_);
  files->number = files_ == nullptr ? 1 : files_->number + 1;
  files_ = std::move(files);
  rendered_.notify_all();
}

HttpResponse Web::Serve(const HttpRequest& request, const std::string& name) const {
  if (request.method == "OPTIONS") return PreflightAnswer("GET, HEAD");
  const std::shared_ptr<const WebFiles> files = this->files();
  const auto found = files->by_name.find(name);
  HttpResponse response;
  if (found == files->by_name.end()) {
    return ErrorAnswer(absl::StrCat("/", absl::StrJoin(request.path, "/")), 404, "no such page");
  }
  const WebFile& file = *found->second;
  response.content_type = file.content_type;
  response.headers = {{"Cache-Control", "no-cache"},
                      {"ETag", absl::StrCat("W/", file.etag)},
                      {"Vary", "Accept-Encoding"},
                      {"X-Content-Type-Options", "nosniff"}};
  AllowOrigins(response);
  const absl::string_view known = request.header("if-none-match");
  if (known == "*" || absl::StrContains(known, file.etag)) {
    response.status = 304;
  } else {
    response.body = file.body;
    PackBody(request, response);
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
  // A family of files whose names are those of their paths.
  const auto same = [this](const HttpRequest& request) {
    return Serve(request, absl::StrJoin(request.path, "/"));
  };
  const auto badge = [this](const HttpRequest& request) {
    HttpResponse response = Serve(request, absl::StrJoin(request.path, "/"));
    response.headers.emplace_back("Content-Security-Policy", "default-src 'none'");
    return response;
  };
  return {
      {"/status", "the page for everybody: what is published", page},
      {"/updates.html",
       "what the users are told, as a piece of HTML",
       file("updates.html"),
       {"OPTIONS"}},
      {"/status.atom", "downtimes and announcements, as a feed", file("status.atom")},
      {"/status.json", "", file("status.json"), {"OPTIONS"}},
      {"/summary.json", "", file("summary.json"), {"OPTIONS"}},
      {"/api/v2/status.json",
       "the whole in one word, as Statuspage has it",
       file("status.json"),
       {"OPTIONS"}},
      {"/api/v2/summary.json", "that, components and incidents", file("summary.json"), {"OPTIONS"}},
      {"/api/v2/*", "", same, {"OPTIONS"}},
      {"/api/v2/incidents/*", "", same, {"OPTIONS"}},
      {"/api/v2/scheduled-maintenances/*", "", same, {"OPTIONS"}},
      {"/badge.svg", "the whole as a picture", badge},
      {"/badge/*", "a component: /badge/TOKEN.svg", badge},
      {"/badge/*/uptime.svg", "its uptime of 90 days", badge},
  };
}

}  // namespace fleet::collector
