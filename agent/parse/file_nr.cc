#include "agent/parse/file_nr.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {

absl::StatusOr<FileNr> ParseFileNr(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  FileNr files;
  uint64_t unused = 0;
  for (uint64_t* const number : {&files.allocated, &unused, &files.maximum}) {
    if (!ParseInteger(NextWord(rest), *number)) {
      return absl::InvalidArgumentError(absl::StrCat("expected three numbers, got ", Quote(text)));
    }
  }
  return files;
}

}  // namespace fleet::agent
