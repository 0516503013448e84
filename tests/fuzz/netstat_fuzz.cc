#include "agent/parse/netstat.h"
#include "common/status_macros.h"

namespace {

using ::fleet::agent::NetstatField;
using ::fleet::agent::NetstatLayout;
using Fields = absl::StatusOr<std::vector<NetstatField>>;

/// What a layout of other text makes of `text` must be what an empty one does.
void Try(Fields (*parse)(absl::string_view, NetstatLayout&), absl::string_view text,
         absl::string_view before) {
  NetstatLayout fresh;
  const Fields fields = parse(text, fresh);
  NetstatLayout used;
  parse(before, used).IgnoreError();
  const Fields again = parse(text, used);
  FLEET_ASSERT(fields.ok() == again.ok());
  if (!fields.ok()) return;
  FLEET_ASSERT(*fields == *again);
  for (const NetstatField& field : *fields) {
    FLEET_ASSERT(field.name.find('_') != std::string::npos);
    FLEET_ASSERT(field.value == field.value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  // The first half is what was read before the second.
  for (const absl::string_view before : {text, text.substr(0, size / 2)}) {
    Try(fleet::agent::ParseNetstat, text.substr(size / 2), before);
    Try(fleet::agent::ParseSnmp6, text, before);
    Try(fleet::agent::ParseNetstat, text, before);
  }
  return 0;
}
