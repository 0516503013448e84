#pragma once

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// A real nginx on a free port of loopback, whose answer a test sets.
class WebServer {
 public:
  static bool Available() { return HasProgram("nginx"); }

  uint16_t port() const { return port_; }
  std::string url(const std::string& path = "/") const {
    return absl::StrCat("http://127.0.0.1:", port_, path);
  }

  /// Starts it anew, with `answer` as what its configuration says for every path, such as
  /// "return 200 hello;". False when it does not answer then.
  bool Serve(const std::string& answer) {
    nginx_.reset();
    WriteFile(
        dir_ / "nginx.conf",
        absl::StrCat("daemon off; master_process off; pid ", dir_ / "nginx.pid",
                     "; error_log stderr; worker_rlimit_nofile 20000; events { worker_connections "
                     "8000; } http { access_log off; keepalive_timeout 0; client_body_temp_path ",
                     dir_ / "b", "; proxy_temp_path ", dir_ / "p", "; fastcgi_temp_path ",
                     dir_ / "f", "; uwsgi_temp_path ", dir_ / "u", "; scgi_temp_path ", dir_ / "s",
                     "; server { listen 127.0.0.1:", port_, " backlog=4096; location / { ", answer,
                     " } } }\n"));
    nginx_.emplace(
        std::vector<std::string>{"nginx", "-e", dir_ / "nginx.log", "-c", dir_ / "nginx.conf"},
        Process::Options{.output_path = dir_ / "nginx.log",
                         .environment = {},
                         .user = {},
                         .working_directory = {}});
    return WaitFor([this] { return HttpGet(port_, "/").status != 0; });
  }
  /// Nobody listens any more.
  void Stop() { nginx_.reset(); }

 private:
  TempDir dir_;
  const uint16_t port_ = FreePort();
  std::optional<Process> nginx_;
};

}  // namespace fleet::test
