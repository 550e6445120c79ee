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

}  // namespace sockswitch
