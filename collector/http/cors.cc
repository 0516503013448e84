#include "collector/http/cors.h"

#include <string>

namespace fleet::collector {
namespace {

/// How long a browser may go without asking again, in seconds. Chromium takes no more.
constexpr char kMaxAge[] = "7200";

}  // namespace

void AllowOrigins(HttpResponse& response) {
  response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  response.headers.emplace_back("Access-Control-Expose-Headers", "Date, ETag");
}

HttpResponse PreflightAnswer(absl::string_view methods) {
  HttpResponse response;
  response.status = 204;
  response.headers = {
      {"Access-Control-Allow-Origin", "*"},
      {"Access-Control-Allow-Methods", std::string(methods)},
      {"Access-Control-Allow-Headers",
       "x-api-key, authorization, content-type, accept, cache-control, if-none-match"},
      {"Access-Control-Max-Age", kMaxAge},
  };
  return response;
}

}  // namespace fleet::collector
