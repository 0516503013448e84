#include "tests/support/nginx.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"

namespace fleet::test {

Nginx::Nginx(absl::string_view servers, uint16_t port) {
  std::string paths;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    absl::StrAppend(&paths, kind, "_temp_path ", dir_ / kind, ";\n");
  }
  WriteFile(
      dir_ / "nginx.conf",
      absl::StrCat(IsRoot() ? "user root;\n" : "", "daemon off;\nworker_processes 1;\npid ",
                   dir_ / "pid", ";\nerror_log stderr warn;\nevents {}\nhttp {\n",
                   "include /etc/nginx/mime.types;\naccess_log off;\n", paths, servers, "}\n"));
  Process::Options options;
  options.output_path = dir_ / "log";
  process_ = std::make_unique<Process>(
      std::vector<std::string>{HasProgram("nginx") ? "/usr/sbin/nginx" : "nginx", "-e", "stderr",
                               "-p", dir_ / "", "-c", dir_ / "nginx.conf"},
      options);
  EXPECT_TRUE(WaitFor([&] { return AcceptsConnections(port) || !process_->Running(); }) &&
              process_->Running())
      << Log();
}

}  // namespace fleet::test
