// Anonymous sealed memory: created here, mapped read-only by the peer.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sockswitch {

struct Mapping {
  void* data;
  size_t bytes;
};

// Creates `bytes` of memory (a multiple of the page size), fully allocated, mapped read-write here, then sealed so that
// nobody can shrink, grow or write it through the descriptor. Returns the descriptor or -errno.
int CreateMemory(size_t bytes, Mapping* mapping);

// Maps what a peer passed, read-only, after checking that it is sealed memory of exactly `bytes` with all pages present.
// Returns 0 or -errno; -EPERM when the checks fail. Does not close `fd`.
int MapPeerMemory(int fd, size_t bytes, Mapping* mapping);

void Unmap(const Mapping& mapping);

// Makes malloc keep what is freed, up to 32 MiB, for what is allocated next. A fast stream frees buffers by the gigabyte; by
// default malloc returns each batch to the kernel, and the page faults of the next one cost more than the copying.
void KeepFreedMemory();

}  // namespace sockswitch
