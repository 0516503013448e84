#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::agent {

/// The properties udev keeps of one device.
struct UdevData {
  std::map<std::string, std::string, std::less<>> properties;

  /// Empty for a property it does not have.
  absl::string_view Get(absl::string_view key) const;
  bool operator==(const UdevData&) const = default;
};

/// Parses a file of /run/udev/data, such as
///   E:ID_SERIAL_SHORT=WD-WCC4N1234567
/// whose other lines (links, tags, times) are skipped; never fails. At most 1,024 properties.
/// Source: systemd, src/libsystemd/sd-device/device-private.c; read as node_exporter does.
UdevData ParseUdevData(absl::string_view text);

}  // namespace fleet::agent
