// A FUSE filesystem that never answers statfs, as a dead server's does not: fake_stuck_fs DIRECTORY
// stuck. With `fine` instead it answers. Runs in the foreground until it is killed or unmounted.
#define FUSE_USE_VERSION 35
#include <fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace {

bool stuck = false;

int Getattr(const char* path, struct stat* stat, fuse_file_info*) {
  if (std::strcmp(path, "/") != 0) return -ENOENT;
  stat->st_mode = S_IFDIR | 0755;
  stat->st_nlink = 2;
  return 0;
}

int Statfs(const char*, struct statvfs* stat) {
  while (stuck) ::pause();
  stat->f_bsize = 4096;
  stat->f_frsize = 4096;
  stat->f_blocks = 1000;
  stat->f_bfree = 500;
  stat->f_bavail = 500;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  stuck = std::strcmp(argv[2], "stuck") == 0;
  fuse_operations operations{};
  operations.getattr = Getattr;
  operations.statfs = Statfs;
  char foreground[] = "-f";
  char* arguments[] = {argv[0], foreground, argv[1], nullptr};
  return fuse_main(3, arguments, &operations, nullptr);
}
