#include "agent/checks/disk_mounts.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fleet::agent {
namespace {

template <size_t N>
bool IsOneOf(absl::string_view word, const absl::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// Filesystems without a disk of their own to fill, beyond those the exporter leaves out. tmpfs
/// fills memory, which the check of that watches.
bool IsPseudo(absl::string_view type) {
  static constexpr absl::string_view kTypes[] = {"tmpfs",          "ramfs",
                                                 "efivarfs",       "fuse.gvfsd-fuse",
                                                 "fuse.portal",    "fuse.lxcfs",
                                                 "fuse.snapfuse",  "erofs",
                                                 "fuse.overlayfs", "fuse.fuse-overlayfs",
                                                 "rootfs",         "nfsd",
                                                 "functionfs",     "none",
                                                 "smackfs",        "resctrl",
                                                 "cpuset"};
  return IsExcludedType(type) || IsOneOf(type, kTypes);
}

bool IsRemote(absl::string_view type) {
  static constexpr absl::string_view kTypes[] = {
      "nfs",      "nfs4",   "cifs",     "smb3",   "smbfs", "9p",        "ceph",
      "virtiofs", "lustre", "afs",      "beegfs", "gpfs",  "glusterfs", "ocfs2",
      "gfs2",     "coda",   "orangefs", "pvfs2",  "ncpfs", "davfs",     "fuseblk"};
  return type == "fuse" || absl::StartsWith(type, "fuse.") || IsOneOf(type, kTypes);
}

/// Whether `path` is `directory` or lies below it.
bool IsBelow(absl::string_view path, absl::string_view directory) {
  return absl::ConsumePrefix(&path, directory) &&
         (path.empty() || path[0] == '/' || absl::EndsWith(directory, "/"));
}

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

/// `sda1`, `hdb2`, `vdc3`, `xvdd4`: a partition of a disk with one letter.
bool IsLetterPartition(absl::string_view device) {
  for (const absl::string_view prefix : {"hd", "sd", "vd", "xvd"}) {
    absl::string_view rest = device;
    if (absl::ConsumePrefix(&rest, prefix) && rest.size() >= 2 &&
        absl::ascii_islower(static_cast<unsigned char>(rest[0])) && AllDigits(rest.substr(1))) {
      return true;
    }
  }
  return false;
}

/// `nvme0n1p2`.
bool IsNvmePartition(absl::string_view device) {
  const auto digits = [&device] {
    size_t size = 0;
    while (size < device.size() && absl::ascii_isdigit(static_cast<unsigned char>(device[size]))) {
      ++size;
    }
    device.remove_prefix(size);
    return size > 0;
  };
  return absl::ConsumePrefix(&device, "nvme") && digits() && absl::ConsumePrefix(&device, "n") &&
         digits() && absl::ConsumePrefix(&device, "p") && digits() && device.empty();
}

}  // namespace

bool IsExcludedMountPoint(absl::string_view mount_point) {
  for (const absl::string_view directory : {"/dev", "/proc", "/run", "/sys", "/mnt", "/media"}) {
    if (IsBelow(mount_point, directory)) return true;
  }
  for (const absl::string_view directory : {"/var/lib/docker/", "/var/lib/containers/storage/"}) {
    if (mount_point.size() > directory.size() && absl::StartsWith(mount_point, directory)) {
      return true;
    }
  }
  return false;
}

bool IsExcludedType(absl::string_view type) {
  static constexpr absl::string_view kTypes[] = {
      "autofs",     "binfmt_misc", "bpf",       "cgroup",   "cgroup2",   "configfs",
      "debugfs",    "devpts",      "devtmpfs",  "fusectl",  "hugetlbfs", "iso9660",
      "mqueue",     "nsfs",        "overlay",   "proc",     "procfs",    "pstore",
      "rpc_pipefs", "securityfs",  "selinuxfs", "squashfs", "sysfs",     "tracefs"};
  return IsOneOf(type, kTypes);
}

bool IsExcludedDevice(absl::string_view device) {
  for (const absl::string_view prefix : {"ram", "loop", "fd"}) {
    absl::string_view rest = device;
    if (absl::ConsumePrefix(&rest, prefix) && AllDigits(rest)) return true;
  }
  return IsLetterPartition(device) || IsNvmePartition(device);
}

std::vector<DiskMount> SortMounts(std::vector<Mount> mounts) {
  std::vector<DiskMount> sorted;
  std::vector<absl::string_view> hanging;   // mount points
  std::map<absl::string_view, size_t> top;  // by mount point: the last one
  for (size_t i = 0; i < mounts.size(); ++i) {
    top[mounts[i].mount_point] = i;
    if (IsRemote(mounts[i].type)) hanging.push_back(mounts[i].mount_point);
  }
  std::map<std::pair<uint32_t, uint32_t>, size_t> chosen;
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Mount& mount = mounts[i];
    if (IsPseudo(mount.type) || top[mount.mount_point] != i) continue;
    const auto [first, is_new] = chosen.try_emplace({mount.major, mount.minor}, i);
    if (!is_new && mounts[first->second].root != "/" && mount.root == "/") first->second = i;
  }
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Mount& mount = mounts[i];
    DiskMount entry;
    entry.exported = !IsExcludedMountPoint(mount.mount_point) && !IsExcludedType(mount.type);
    const auto found = chosen.find({mount.major, mount.minor});
    entry.judged = found != chosen.end() && found->second == i;
    entry.may_hang = std::any_of(
        hanging.begin(), hanging.end(),
        [&mount](absl::string_view directory) { return IsBelow(mount.mount_point, directory); });
    sorted.push_back(std::move(entry));
  }
  for (size_t i = 0; i < mounts.size(); ++i) sorted[i].mount = std::move(mounts[i]);
  return sorted;
}

void MarkHidden(const std::vector<Mount>& ours, std::vector<DiskMount>& mounts) {
  for (DiskMount& entry : mounts) {
    if (!entry.exported && !entry.judged) continue;
    // The last one that covers the path is what is seen there.
    const auto seen = std::find_if(ours.rbegin(), ours.rend(), [&entry](const Mount& mount) {
      return IsBelow(entry.mount.mount_point, mount.mount_point);
    });
    entry.hidden =
        seen == ours.rend() || seen->major != entry.mount.major || seen->minor != entry.mount.minor;
  }
}

FstabLine FindInFstab(absl::string_view fstab, absl::string_view mount_point) {
  FstabLine result;
  for (const absl::string_view line : absl::StrSplit(fstab, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() < 4 || absl::StartsWith(words[0], "#") ||
        UnescapeOctal(words[1]) != mount_point) {
      continue;
    }
    result.found = true;
    for (const absl::string_view option : absl::StrSplit(words[3], ',')) {
      if (option == "ro") result.read_only = true;
    }
  }
  return result;
}

}  // namespace fleet::agent
