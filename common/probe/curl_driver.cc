#include "common/probe/curl_driver.h"

#include <sys/epoll.h>

#include <mutex>
#include <utility>
#include <vector>

#include "common/status_macros.h"

namespace fleet::probe {
namespace {

CURLM* NewMulti() {
  static std::once_flag once;
  std::call_once(once, [] { FLEET_ASSERT(::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
  CURLM* multi = ::curl_multi_init();
  FLEET_ASSERT(multi != nullptr);
  return multi;
}

}  // namespace

CurlDriver::CurlDriver(Loop& loop) : loop_(loop), multi_(NewMulti()) {
  ::curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlDriver::OnSocket);
  ::curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  ::curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlDriver::OnTimer);
  ::curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlDriver::~CurlDriver() {
  for (const auto& [transfer, done] : transfers_) ::curl_multi_remove_handle(multi_, transfer);
  ::curl_multi_cleanup(multi_);
  if (timer_set_) loop_.Cancel(timer_);
}

void CurlDriver::Add(CURL* transfer, Done done) {
  transfers_[transfer] = std::move(done);
  ::curl_multi_add_handle(multi_, transfer);
}

void CurlDriver::Remove(CURL* transfer) {
  if (transfers_.erase(transfer) > 0) ::curl_multi_remove_handle(multi_, transfer);
}

int CurlDriver::OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  auto* driver = static_cast<CurlDriver*>(self);
  if (what == CURL_POLL_REMOVE) {
    driver->loop_.Unwatch(fd);
    return 0;
  }
  const uint32_t events = ((what & CURL_POLL_IN) != 0 ? uint32_t{EPOLLIN} : 0U) |
                          ((what & CURL_POLL_OUT) != 0 ? uint32_t{EPOLLOUT} : 0U);
  driver->loop_.Watch(fd, events, [driver, fd](uint32_t got) {
    int act = 0;
    if ((got & EPOLLIN) != 0) act |= CURL_CSELECT_IN;
    if ((got & EPOLLOUT) != 0) act |= CURL_CSELECT_OUT;
    if ((got & (EPOLLERR | EPOLLHUP)) != 0) act |= CURL_CSELECT_ERR;
    driver->Act(fd, act);
  });
  return 0;
}

int CurlDriver::OnTimer(CURLM*, long milliseconds, void* self) {
  auto* driver = static_cast<CurlDriver*>(self);
  if (std::exchange(driver->timer_set_, false)) driver->loop_.Cancel(driver->timer_);
  if (milliseconds < 0) return 0;
  driver->timer_set_ = true;
  driver->timer_ = driver->loop_.After(absl::Milliseconds(milliseconds), [driver] {
    driver->timer_set_ = false;
    driver->Act(CURL_SOCKET_TIMEOUT, 0);
  });
  return 0;
}

void CurlDriver::Act(curl_socket_t fd, int events) {
  int running = 0;
  ::curl_multi_socket_action(multi_, fd, events, &running);
  TakeDone();
}

void CurlDriver::TakeDone() {
  // First all of them: what is called may add and remove others.
  std::vector<std::pair<CURL*, CURLcode>> ended;
  int left = 0;
  while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) {
      ended.emplace_back(message->easy_handle, message->data.result);
    }
  }
  for (const auto& [transfer, code] : ended) {
    const auto found = transfers_.find(transfer);
    if (found == transfers_.end()) continue;
    const Done done = std::move(found->second);
    transfers_.erase(found);
    ::curl_multi_remove_handle(multi_, transfer);
    done(code);
  }
}

}  // namespace fleet::probe
