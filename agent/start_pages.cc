#include "agent/start_pages.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/match.h"

namespace fleet::agent {
namespace {

/// Of one program or library. Only what no one writes: there the page cache has the same bytes,
/// while a page that was relocated is the only copy.
int DropPagesOf(dl_phdr_info* info, size_t, void*) {
  if (absl::StartsWith(info->dlpi_name, "linux-vdso")) return 0;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (info->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const uintptr_t end = info->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // It may be refused, as for locked memory: then all stays as it is.
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void DropStartPages() {
  ::dl_iterate_phdr(&DropPagesOf, nullptr);
  ::malloc_trim(0);
}

}  // namespace fleet::agent
