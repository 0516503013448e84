#include "collector/http/error_answer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace fleet::collector {

HttpResponse ApiError(int status, absl::string_view text) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body = nlohmann::json{{"error", std::string(text)}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

HttpResponse ErrorAnswer(absl::string_view target, int status, absl::string_view text) {
  if (absl::StartsWith(target, "/api/")) return ApiError(status, text);
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(text, "\n");
  return response;
}

}  // namespace fleet::collector
