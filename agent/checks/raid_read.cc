#include "agent/checks/raid_read.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/parse/udev_data.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// An attribute that not every array has: empty when it is not there.
std::string Attribute(const HostFs& fs, absl::string_view path) {
  return fs.ReadTrimmed(path).value_or("");
}

absl::StatusOr<std::optional<int64_t>> Number(const HostFs& fs, absl::string_view path) {
  const std::string text = Attribute(fs, path);
  if (text.empty()) return std::optional<int64_t>();
  return ParseMdNumber(text);
}

/// What hardware says of itself, as it may stand in a reason and in a line of memory.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return !absl::ascii_isprint(static_cast<unsigned char>(c)) || c == '|'; }, ' ');
  absl::RemoveExtraAsciiWhitespace(&text);
  return text.substr(0, 100);
}

}  // namespace

std::string ReadDiskSerial(const HostFs& fs, const std::string& block) {
  if (const std::string number = Attribute(fs, absl::StrCat(block, "/dev")); !number.empty()) {
    const auto text = fs.Read(absl::StrCat("run/udev/data/b", number));
    if (text.ok()) {
      const UdevData udev = ParseUdevData(*text);
      for (const absl::string_view key : {"SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"}) {
        if (const std::string serial = Printable(std::string(udev.Get(key))); !serial.empty())
          return serial;
      }
    }
  }
  // A partition's parent directory is its disk's.
  for (const std::string& disk : {block, absl::StrCat(block, "/..")}) {
    for (const absl::string_view name : {"/device/serial", "/serial"}) {
      std::string serial = Printable(Attribute(fs, absl::StrCat(disk, name)));
      if (!serial.empty()) return serial;
    }
    // SCSI's unit serial number page: four bytes of header, then the serial.
    const std::string page = fs.Read(absl::StrCat(disk, "/device/vpd_pg80")).value_or("");
    if (page.size() > 4) {
      if (std::string serial = Printable(page.substr(4)); !serial.empty()) return serial;
    }
    std::string wwid = Printable(Attribute(fs, absl::StrCat(disk, "/device/wwid")));
    if (!wwid.empty()) return wwid;
  }
  return "";
}

std::vector<std::string> RaidReader::List() const {
  std::vector<std::string> names = fs_.List("sys/block").value_or(std::vector<std::string>());
  std::erase_if(names, [this](const std::string& name) {
    return !absl::StartsWith(name, "md") || !fs_.Exists(absl::StrCat("sys/block/", name, "/md"));
  });
  return names;
}

absl::StatusOr<RaidArray> RaidReader::Read(const std::string& name) {
  const std::string md = absl::StrCat("sys/block/", name, "/md/");
  RaidArray array;
  array.name = name;
  FLEET_ASSIGN_OR_RETURN(array.state, fs_.ReadTrimmed(md + "array_state"));
  array.uuid = Attribute(fs_, md + "uuid");
  array.level = Attribute(fs_, md + "level");
  array.metadata = Attribute(fs_, md + "metadata_version");
  array.policy = Attribute(fs_, md + "consistency_policy");
  FLEET_ASSIGN_OR_RETURN(const MdRaidDisks disks,
                         ParseMdRaidDisks(Attribute(fs_, md + "raid_disks")));
  array.disks = disks.disks;
  FLEET_ASSIGN_OR_RETURN(const auto degraded, Number(fs_, md + "degraded"));
  if (degraded) array.degraded = static_cast<int>(*degraded);
  array.sync_action = Attribute(fs_, md + "sync_action");
  array.last_sync_action = Attribute(fs_, md + "last_sync_action");
  if (const std::string sync = Attribute(fs_, md + "sync_completed"); !sync.empty()) {
    FLEET_ASSIGN_OR_RETURN(array.sync, ParseMdSyncCompleted(sync));
  }
  FLEET_ASSIGN_OR_RETURN(array.sync_speed_kib, Number(fs_, md + "sync_speed"));
  FLEET_ASSIGN_OR_RETURN(array.mismatch_sectors, Number(fs_, md + "mismatch_cnt"));
  FLEET_ASSIGN_OR_RETURN(const auto resync_start, Number(fs_, md + "resync_start"));
  array.pending =
      (array.state == "read-auto" || array.state == "readonly") && resync_start.has_value();

  FLEET_ASSIGN_OR_RETURN(const std::vector<std::string> entries, fs_.List(md));
  for (absl::string_view entry : entries) {
    if (!absl::ConsumePrefix(&entry, "dev-")) continue;
    auto member = ReadMember(absl::StrCat(md, "dev-", entry), entry);
    if (absl::IsInvalidArgument(member.status())) return member.status();
    if (member.ok()) array.members.push_back(*std::move(member));
  }
  if (array.members.empty() && array.state == "clear") {
    return absl::NotFoundError(absl::StrCat(name, " has no members"));
  }
  return array;
}

absl::StatusOr<RaidMember> RaidReader::ReadMember(const std::string& directory,
                                                  absl::string_view name) {
  RaidMember member;
  member.name = std::string(name);
  FLEET_ASSIGN_OR_RETURN(const std::string state, fs_.ReadTrimmed(directory + "/state"));
  member.state = ParseMdMemberState(state);
  const std::string slot = Attribute(fs_, directory + "/slot");
  if (slot == "journal") {
    member.state.journal = true;
  } else if (!slot.empty()) {
    FLEET_ASSIGN_OR_RETURN(const auto number, ParseMdNumber(slot));
    if (number) member.slot = static_cast<int>(std::min<int64_t>(*number, INT32_MAX));
  }
  FLEET_ASSIGN_OR_RETURN(member.bad_block_ranges,
                         ParseMdBadBlocks(Attribute(fs_, directory + "/bad_blocks")));
  FLEET_ASSIGN_OR_RETURN(const auto errors, Number(fs_, directory + "/errors"));
  member.read_errors = errors.value_or(0);
  const std::string block = directory + "/block";
  member.vanished = fs_.ReadLink(block).ok() && !fs_.Exists(block);
  member.serial = SerialOf(directory, member.name);
  return member;
}

std::string RaidReader::SerialOf(const std::string& directory, const std::string& device) {
  std::string& serial = seen_[directory];
  const auto known = serials_.find(directory);
  if (known != serials_.end() && !known->second.empty()) {
    serial = known->second;
  } else {
    const std::string block = directory + "/block";
    serial = ReadDiskSerial(fs_, fs_.Exists(block) ? block : absl::StrCat("sys/block/", device));
  }
  return serial;
}

void RaidReader::DropOldSerials() { serials_ = std::exchange(seen_, {}); }

RaidArray RaidFromMdstat(const MdstatArray& line) {
  RaidArray array;
  array.name = line.name;
  array.level = line.level;
  array.metadata = line.metadata;
  array.slot_map = line.slots;
  array.disks = line.disks_required.value_or(
      line.state == "inactive" ? 0 : static_cast<int>(line.members.size()));
  if (line.disks_required) array.degraded = std::max(0, array.disks - line.disks_active);
  array.state = line.state == "active" ? "clean" : line.state;
  if (line.read_only) array.state = "readonly";
  if (line.auto_read_only) array.state = "read-auto";
  array.sync_action = "idle";
  if (line.sync) {
    array.sync_action = line.sync->action == "recovery" ? "recover" : line.sync->action;
    // Blocks of 1024 bytes; a torn or absurd line must not become a negative rest.
    constexpr int64_t kBlocksMax = INT64_MAX / 4;
    array.sync.total_sectors = 2 * std::min(line.sync->total_blocks, kBlocksMax);
    array.sync.done_sectors =
        std::min(2 * std::min(line.sync->done_blocks, kBlocksMax), array.sync.total_sectors);
    array.sync_speed_kib = line.sync->speed_kib_per_second;
  }
  for (const MdstatMember& shown : line.members) {
    RaidMember member;
    member.name = shown.name;
    member.state.faulty = shown.faulty;
    member.state.spare = shown.spare;
    member.state.journal = shown.journal;
    member.state.replacement = shown.replacement;
    member.state.write_mostly = shown.write_mostly;
    member.state.in_sync = !shown.faulty && !shown.spare && !shown.journal && !shown.replacement;
    array.members.push_back(std::move(member));
  }
  MergeMdstat(line, array);
  return array;
}

void MergeMdstat(const MdstatArray& line, RaidArray& array) {
  if (line.state == "broken") array.state = "broken";
  if (line.pending == "resync=PENDING") array.pending = true;
  if (absl::EndsWith(line.pending, "=DELAYED")) {
    array.sync.delayed = true;
    if (array.sync_action.empty() || array.sync_action == "idle") array.sync_action = "resync";
  }
}

}  // namespace fleet::agent
