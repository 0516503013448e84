#include "common/errno_text.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace fleet {

std::string ErrnoText(int error) {
  const char* const text = ::strerrordesc_np(error);
  return text != nullptr ? text : absl::StrCat("error ", error);
}

}  // namespace fleet
