#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <unordered_map>

#include "common/probe/loop.h"

namespace fleet::probe {

/// Runs libcurl's transfers in a loop, many at once, without a thread of their own. Belongs to the
/// loop's thread. With http_run.cc the second door to libcurl, beside common/http_client.h, which
/// waits.
class CurlDriver {
 public:
  using Done = std::function<void(CURLcode)>;

  explicit CurlDriver(Loop& loop);
  ~CurlDriver();
  CurlDriver(const CurlDriver&) = delete;
  CurlDriver& operator=(const CurlDriver&) = delete;

  /// Starts a transfer. `done` is called from the loop, once, unless it is removed before.
  void Add(CURL* transfer, Done done);
  /// Ends it, when it is under way. Not from within a callback of libcurl.
  void Remove(CURL* transfer);

 private:
  static int OnSocket(CURL*, curl_socket_t fd, int what, void* self, void*);
  static int OnTimer(CURLM*, long milliseconds, void* self);
  void Act(curl_socket_t fd, int events);
  void TakeDone();

  Loop& loop_;
  CURLM* const multi_;
  bool timer_set_ = false;
  Loop::TimerId timer_;
  std::unordered_map<CURL*, Done> transfers_;
};

}  // namespace fleet::probe
