#include "agent/checks/disk_mounts.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Mount points of `text` that are items.
std::vector<std::string> Judged(absl::string_view text) {
  std::vector<std::string> points;
  for (const DiskMount& entry : SortMounts(*ParseMountinfo(text))) {
    if (entry.judged) points.push_back(entry.mount.mount_point);
  }
  return points;
}

TEST(SortMountsTest, JudgesRealFilesystemsOnly) {
  EXPECT_THAT(Judged("1 0 0:1 / /proc rw - proc proc rw\n"
                     "2 0 254:0 / / rw - ext4 /dev/vda rw\n"
                     "3 0 0:2 / /run rw - tmpfs tmpfs rw\n"
                     "4 0 0:3 / /snap/core ro - squashfs /dev/loop0 ro\n"
                     "5 0 0:4 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n"
                     "6 0 0:5 / /net rw - autofs auto.net rw\n"
                     "7 0 8:1 / /mnt/backup rw - xfs /dev/sda1 rw\n"
                     "8 0 0:6 / /srv rw - nfs4 nas:/srv rw\n"
                     "9 0 0:7 / /run/user/0/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw\n"),
              ElementsAre("/", "/mnt/backup", "/srv"));
}

TEST(SortMountsTest, CountsADeviceOnceAndPrefersItsRoot) {
  EXPECT_THAT(Judged("1 0 254:0 /data /srv rw - ext4 /dev/vda rw\n"
                     "2 0 254:0 / / rw - ext4 /dev/vda rw\n"
                     "3 0 254:0 / /again rw - ext4 /dev/vda rw\n"
                     "4 0 0:4 net:[4026532] /run/netns/x rw - nsfs nsfs rw\n"),
              ElementsAre("/"));
  EXPECT_THAT(Judged("1 0 254:0 /data /srv rw - ext4 /dev/vda rw\n"), ElementsAre("/srv"));
}

TEST(SortMountsTest, SeesTheLastOfSeveralMountsOnOnePoint) {
  EXPECT_THAT(Judged("1 0 8:1 / /data rw - ext4 /dev/sda1 rw\n"
                     "2 0 8:2 / /data rw - ext4 /dev/sdb1 rw\n"),
              ElementsAre("/data"));
  EXPECT_THAT(Judged("1 0 8:1 / /data rw - ext4 /dev/sda1 rw\n"
                     "2 0 0:9 / /data rw - tmpfs none rw\n"),
              IsEmpty());
}

TEST(SortMountsTest, KnowsWhatMayHang) {
  std::vector<std::string> hanging;
  for (const DiskMount& entry :
       SortMounts(*ParseMountinfo("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                  "2 0 0:1 / /a rw - fuse.sshfs x rw\n"
                                  "3 0 8:2 / /a/below rw - ext4 /dev/sda2 rw\n"
                                  "4 0 8:3 / /ab rw - ext4 /dev/sda3 rw\n"
                                  "5 0 0:2 / /c rw - fuse x rw\n"
                                  "6 0 0:3 / /d rw - fuseblk /dev/sdb1 rw\n"
                                  "7 0 0:4 / /e rw - nfs4 x rw\n"
                                  "8 0 0:5 / /f rw - 9p x rw\n"
                                  "9 0 0:6 / /g rw - cifs x rw\n"
                                  "9 0 0:7 / /h rw - ceph x rw\n"
                                  "9 0 0:8 / /i rw - fusectl x rw\n"))) {
    if (entry.may_hang) hanging.push_back(entry.mount.mount_point);
  }
  EXPECT_THAT(hanging, ElementsAre("/a", "/a/below", "/c", "/d", "/e", "/f", "/g", "/h"));
}

TEST(MarkHiddenTest, NamesWhatASandboxHides) {
  const auto theirs = ParseMountinfo(
      "1 0 254:0 / / rw - ext4 /dev/vda rw\n"
      "2 1 8:1 / /home rw - ext4 /dev/sda1 rw\n"
      "3 1 8:2 / /tmp/x rw - xfs /dev/sda2 rw\n"
      "4 1 8:3 / /data rw - xfs /dev/sda3 rw\n"
      "5 1 0:9 / /run rw - tmpfs tmpfs rw\n");
  // ProtectHome=yes, PrivateTmp=yes, ProtectSystem=strict, and /data over the agent's own view.
  const auto ours = ParseMountinfo(
      "11 0 254:0 / / ro - ext4 /dev/vda rw\n"
      "12 11 8:1 / /home ro - ext4 /dev/sda1 rw\n"
      "13 11 8:2 / /tmp/x ro - xfs /dev/sda2 rw\n"
      "14 11 8:3 / /data ro - xfs /dev/sda3 rw\n"
      "15 12 0:9 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw\n"
      "16 11 254:0 /tmp/systemd-private-1/tmp /tmp rw - ext4 /dev/vda rw\n");
  std::vector<DiskMount> mounts = SortMounts(*theirs);
  MarkHidden(*ours, mounts);
  std::vector<std::string> hidden;
  for (const DiskMount& entry : mounts) {
    if (entry.hidden) hidden.push_back(entry.mount.mount_point);
  }
  EXPECT_THAT(hidden, ElementsAre("/home", "/tmp/x"));
  MarkHidden(*theirs, mounts);
  for (const DiskMount& entry : mounts) EXPECT_FALSE(entry.hidden) << entry.mount.mount_point;
}

TEST(ExclusionTest, IsThatOfDebiansNodeExporter) {
  for (const char* excluded :
       {"/dev", "/dev/shm", "/proc/x", "/run", "/run/netns/a", "/sys", "/mnt", "/mnt/x",
        "/media/cd", "/var/lib/docker/overlay2", "/var/lib/containers/storage/overlay"}) {
    EXPECT_TRUE(IsExcludedMountPoint(excluded)) << excluded;
  }
  for (const char* kept :
       {"/", "/devel", "/data/mnt", "/runtime", "/var/lib/docker", "/var/lib/dockerx", "/home"}) {
    EXPECT_FALSE(IsExcludedMountPoint(kept)) << kept;
  }
  for (const char* excluded :
       {"loop0", "ram12", "fd0", "sda1", "hdb12", "vda1", "xvda3", "nvme0n1p1", "nvme10n2p33"}) {
    EXPECT_TRUE(IsExcludedDevice(excluded)) << excluded;
  }
  for (const char* kept : {"sda", "vda", "sdaa1", "md0", "dm-0", "zram0", "nvme0n1", "sr0", "loop",
                           "mmcblk0p1", "nvme0c0n1"}) {
    EXPECT_FALSE(IsExcludedDevice(kept)) << kept;
  }
  EXPECT_TRUE(IsExcludedType("cgroup2"));
  EXPECT_FALSE(IsExcludedType("tmpfs"));
}

TEST(FstabTest, SaysWhatShouldBeReadOnly) {
  const char* fstab =
      "# /old / ext4 ro 0 0\nUUID=1 / ext4 errors=remount-ro 0 1\n"
      "/dev/sdb1\t/my\\040data ext4 noatime,ro 0 2\nshort\n";
  EXPECT_TRUE(FindInFstab(fstab, "/").found);
  EXPECT_FALSE(FindInFstab(fstab, "/").read_only);
  EXPECT_TRUE(FindInFstab(fstab, "/my data").read_only);
  EXPECT_FALSE(FindInFstab(fstab, "/home").found);
}

}  // namespace
}  // namespace fleet::agent
