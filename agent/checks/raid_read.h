#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/checks/raid_judge.h"
#include "agent/host_fs.h"
#include "agent/parse/mdstat.h"

namespace fleet::agent {

/// Reads arrays from sysfs. Remembers the serials of members that stay, so that they are read once.
/// Used by one thread at a time.
class RaidReader {
 public:
  explicit RaidReader(HostFs fs) : fs_(std::move(fs)) {}

  /// Names of all arrays in sysfs, sorted. Empty without md.
  std::vector<std::string> List() const;

  /// One array. Errors: kNotFound when it has just gone or is an empty shell (`clear`);
  /// kInvalidArgument for an attribute that cannot be read.
  absl::StatusOr<RaidArray> Read(const std::string& name);

  /// Forgets the serials of members that no array had since the last call.
  void DropOldSerials();

 private:
  absl::StatusOr<RaidMember> ReadMember(const std::string& directory, absl::string_view name);
  std::string SerialOf(const std::string& directory, const std::string& device);

  const HostFs fs_;
  std::map<std::string, std::string> serials_;  // by member directory
  std::map<std::string, std::string> seen_;
};

/// An array that only /proc/mdstat knows (its sysfs went, or is not there in a fixture host).
RaidArray RaidFromMdstat(const MdstatArray& line);

/// Adds what sysfs lacks: `broken` that only mdstat shows, and a pending resync.
void MergeMdstat(const MdstatArray& line, RaidArray& array);

/// The serial printed on a disk: from udev's database (`udev`: its text, "" for none), else from
/// the sysfs directory of the block device or of the disk it is a partition of. Empty: unknown.
std::string ReadDiskSerial(const HostFs& fs, const std::string& block);

}  // namespace fleet::agent
