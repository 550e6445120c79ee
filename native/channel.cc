#include "channel.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace sockswitch {

namespace {

constexpr int kBacklog = 128;

// The leading NUL makes the name abstract: it lives and dies with the socket and leaves nothing in the file system.
bool Address(const std::string& name, sockaddr_un* address, socklen_t* length) {
  if (name.size() + 1 > sizeof(address->sun_path)) return false;
  *address = {};
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + 1, name.data(), name.size());
  *length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return true;
}

int OpenSocket() {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

}  // namespace

int ListenChannel(const std::string& name) {
  sockaddr_un address;
  socklen_t length;
  if (!Address(name, &address, &length)) return -ENAMETOOLONG;
  int fd = OpenSocket();
  if (fd < 0) return fd;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(fd, kBacklog) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int ConnectChannel(const std::string& name) {
  sockaddr_un address;
  socklen_t length;
  if (!Address(name, &address, &length)) return -ENAMETOOLONG;
  int fd = OpenSocket();
  if (fd < 0) return fd;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int AcceptChannel(int listener) {
  int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int PeerCredentials(int fd, Credentials* credentials) {
  ucred found;
  socklen_t length = sizeof found;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &length) != 0) return -errno;
  *credentials = {found.pid, found.uid, found.gid};
  return 0;
}

int SendMessage(int fd, const uint8_t* bytes, size_t length, const int* descriptors, size_t count) {
  if (count > kMaxDescriptors || length > kMaxMessageBytes) return -EMSGSIZE;
  iovec part = {const_cast<uint8_t*>(bytes), length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(item), descriptors, sizeof(int) * count);
  }
  for (;;) {
    if (sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

int ReceiveMessage(int fd, Message* message) {
  iovec part = {message->bytes, sizeof message->bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t received;
  do {
    received = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  message->length = static_cast<size_t>(received);
  message->descriptor_count = 0;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const int* found = reinterpret_cast<const int*>(CMSG_DATA(item));
    for (size_t i = 0; i < count; i++) {
      if (message->descriptor_count < kMaxDescriptors) {
        message->descriptors[message->descriptor_count++] = found[i];
      } else {
        close(found[i]);
      }
    }
  }
  if ((header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) {
    for (size_t i = 0; i < message->descriptor_count; i++) close(message->descriptors[i]);
    return -EMSGSIZE;
  }
  // A peer may send an empty packet; only a packet without bytes and without descriptors looks like the end.
  return message->length == 0 && message->descriptor_count == 0 ? 0 : 1;
}

}  // namespace sockswitch
