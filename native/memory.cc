#include "memory.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace sockswitch {

namespace {
constexpr int kRequiredSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
}

int CreateMemory(size_t bytes, Mapping* mapping) {
  int fd = memfd_create("sockswitch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  void* data = MAP_FAILED;
  // Allocating everything now means that no later store can fail with SIGBUS; the seals come after the writable mapping
  // because none can be made after them.
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0 && fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0) {
    data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  }
  if (data == MAP_FAILED || fcntl(fd, F_ADD_SEALS, kRequiredSeals | F_SEAL_FUTURE_WRITE) != 0) {
    int error = errno;
    if (data != MAP_FAILED) munmap(data, bytes);
    close(fd);
    return -error;
  }
  madvise(data, bytes, MADV_DONTFORK);
  *mapping = {data, bytes};
  return fd;
}

int MapPeerMemory(int fd, size_t bytes, Mapping* mapping) {
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return -EPERM;
  bool unwritable = (seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE)) != 0;
  if ((seals & kRequiredSeals) != kRequiredSeals || !unwritable) return -EPERM;
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(bytes)) return -EPERM;
  // A hole would be filled, and charged, when we read it.
  if (static_cast<uint64_t>(status.st_blocks) * 512 < bytes) return -EPERM;
  struct statfs filesystem;
  if (fstatfs(fd, &filesystem) != 0) return -errno;
  if (filesystem.f_type != TMPFS_MAGIC) return -EPERM;
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (data == MAP_FAILED) return -errno;
  madvise(data, bytes, MADV_DONTFORK);
  *mapping = {data, bytes};
  return 0;
}

void Unmap(const Mapping& mapping) { munmap(mapping.data, mapping.bytes); }

void KeepFreedMemory() {
  // Freeing a large block is how glibc learns it (M_TRIM_THRESHOLD in mallopt(3)), and leaves alone whoever has set it.
  constexpr size_t kLargeBlock = 16 << 20;
  void* volatile block = malloc(kLargeBlock);
  free(block);
}

}  // namespace sockswitch
