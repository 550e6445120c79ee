// Abstract SOCK_SEQPACKET sockets: the rendezvous of two event loops, and what passes descriptors between them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace sockswitch {

constexpr size_t kMaxDescriptors = 4;
constexpr size_t kMaxMessageBytes = 1024;

struct Credentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

struct Message {
  uint8_t bytes[kMaxMessageBytes];
  size_t length;
  int descriptors[kMaxDescriptors];
  size_t descriptor_count;
};

// All of these are nonblocking, close-on-exec, and answer -errno on failure.
int ListenChannel(const std::string& name);
int ConnectChannel(const std::string& name);
int AcceptChannel(int listener);
int PeerCredentials(int fd, Credentials* credentials);
int SendMessage(int fd, const uint8_t* bytes, size_t length, const int* descriptors, size_t count);
// 1 with a message, 0 at the end of the stream, or -errno; -EMSGSIZE when bytes or descriptors had to be cut off.
int ReceiveMessage(int fd, Message* message);

}  // namespace sockswitch
